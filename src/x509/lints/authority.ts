import { constraintsExtension } from '../certificates/extensions.ts'
import { signsLists } from '../certificates/read.ts'
import { oids } from '../der/oids.ts'
import { authority, every, type Rule, unless } from './rule.ts'

/** Rules about the extensions of authorities, and about the URLs every certificate names. */
export const authorityRules: readonly Rule[] = [
  {
    name: 'authority-constraints-critical',
    clause: 'RFC 5280 4.2.1.9',
    applies: authority,
    check: ({ extensions, ca }) =>
      unless(
        ca && extensions.some(({ oid, critical }) => oid === oids.basicConstraints && critical),
        'basicConstraints must be critical and say that it is an authority',
      ),
  },
  {
    name: 'authority-key-usage',
    clause: 'RFC 5280 4.2.1.3',
    applies: authority,
    check: ({ extensions, keyUsage }, { standsFor }) => {
      const critical = extensions.some((one) => one.oid === oids.keyUsage && one.critical)
      const extra = keyUsage.some(
        (usage) => !['keyCertSign', 'cRLSign', 'digitalSignature'].includes(usage),
      )
      const lists = standsFor === undefined || signsLists(standsFor)
      return unless(
        critical &&
          !extra &&
          keyUsage.includes('keyCertSign') &&
          keyUsage.includes('cRLSign') === lists,
        `keyUsage of ${lists ? 'an authority must be critical keyCertSign and cRLSign' : 'what stands for an authority without cRLSign must be critical keyCertSign'}`,
      )
    },
  },
  {
    name: 'path-length',
    clause: 'RFC 5280 4.2.1.9',
    applies: (profile) => profile === 'intermediate',
    check: ({ pathLength, issuerDer, subjectDer }, { issuer, allowed }) => {
      const limit = allowed.room ?? issuer?.pathLength
      if (limit === undefined) return undefined
      // A self-issued one does not count (RFC 5280 6.1.4 (l)): an authority's next key.
      if (issuerDer.equals(subjectDer)) {
        const kept = pathLength !== undefined && pathLength <= limit
        return unless(kept, `The path length must be stated and no more than ${limit}`)
      }
      if (limit === 0) return 'The issuer’s path length allows no further authority'
      return unless(
        pathLength !== undefined && pathLength < limit,
        `The path length must be stated and below the issuer’s ${limit}`,
      )
    },
  },
  {
    name: 'issuer-is-authority',
    clause: 'RFC 5280 4.2.1.9, 4.2.1.3',
    applies: every,
    check: (_, { issuer }) => {
      if (issuer === undefined) return undefined
      const { ca, keyUsage } = issuer
      // Without keyUsage a key is not restricted: openssl's own roots have none.
      const signs = keyUsage.length === 0 || keyUsage.includes('keyCertSign')
      return unless(ca && signs, 'The issuer may not sign certificates')
    },
  },
  {
    name: 'root-stands-alone',
    clause: 'RFC 5280 4.2.1.1, CA/B BR 7.1.2.1',
    applies: (profile) => profile === 'root',
    check: ({ authorityKeyIdentifier: key, subjectKeyIdentifier }) =>
      unless(
        key === undefined || (subjectKeyIdentifier?.equals(key) ?? false),
        'authorityKeyIdentifier of a root is absent or its own',
      ),
  },
  {
    name: 'authority-purposes',
    clause: 'RFC 5280 4.2.1.12, CA/B BR 7.1.2.1',
    applies: authority,
    check: ({ extendedKeyUsage }, { standsFor, succeeds }) => {
      const kept = standsFor ?? succeeds
      const limits = kept ? kept.extendedKeyUsage : []
      return unless(
        extendedKeyUsage.join() === limits.join(),
        'extendedKeyUsage of an authority is absent, or that of the certificate whose place it takes',
      )
    },
  },
  {
    name: 'constraints-critical',
    clause: 'RFC 5280 4.2.1.10',
    applies: authority,
    check: ({ nameConstraints, extensions }) => {
      const found = extensions.find(({ oid }) => oid === oids.nameConstraints)
      return unless(
        !found || !nameConstraints || found.der.equals(constraintsExtension(nameConstraints)),
        'nameConstraints must be critical and of the kinds we write',
      )
    },
  },
  {
    name: 'urls-plain',
    clause: 'RFC 5280 4.2.1.13, 4.2.2.1',
    applies: every,
    check: ({ crlUrls, ocspUrls, issuerUrls, extensions }) => {
      const urls = [...crlUrls, ...ocspUrls, ...issuerUrls]
      const wrong = urls.find((url) => !/^http:\/\/[^/\s]+/.test(url))
      if (wrong !== undefined) return `${wrong} is not an http URL`
      return unless(
        !extensions.some(({ oid, critical }) => critical && carriesUrls.has(oid)),
        'cRLDistributionPoints and authorityInfoAccess are never critical',
      )
    },
  },
  {
    name: 'urls-not-empty',
    clause: 'RFC 5280 4.2.1.13, 4.2.2.1',
    applies: every,
    check: ({ crlUrls, ocspUrls, issuerUrls, extensions }) => {
      const has = (type: string) => extensions.some(({ oid }) => oid === type)
      return unless(
        (!has(oids.crlDistributionPoints) || crlUrls.length > 0) &&
          (!has(oids.authorityInfoAccess) || ocspUrls.length + issuerUrls.length > 0),
        'An extension for URLs has none',
      )
    },
  },
  {
    name: 'crl-url-is-the-shards',
    clause: 'RFC 5280 5.2.5',
    applies: (profile) => profile !== 'root' && profile !== 'ocsp',
    check: ({ crlUrls }, { allowed: { crlUrl } }) =>
      unless(
        crlUrl === undefined || (crlUrls.length === 1 && crlUrls[0] === crlUrl),
        'cRLDistributionPoints does not name the list this certificate will be on',
      ),
  },
]

const carriesUrls: ReadonlySet<string> = new Set([
  oids.crlDistributionPoints,
  oids.authorityInfoAccess,
])
