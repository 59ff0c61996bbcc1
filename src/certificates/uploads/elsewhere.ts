import { Problem } from '../../shared/problem.ts'

/** What cannot be done here about a certificate that another CA issued, and what can. */
const ways = {
  renew:
    'It was uploaded, and no CA here can renew it: have its CA issue a successor, and upload that with replaces, so that its hosts have it; or put the hosts without certificate.uploaded, and they are issued one here',
  revoke:
    'It was uploaded, and its CA alone can revoke it: ask there. Upload its successor with replaces, so that its hosts stop serving it, and delete it',
} as const

/** The refusal to renew or revoke what was uploaded; it says what to do. */
export function uploadedElsewhere(way: keyof typeof ways): Problem {
  return new Problem('certificate-uploaded', ways[way])
}
