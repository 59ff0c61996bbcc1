import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import type { Credentials } from '../cluster.ts'
import { changedKubeconfig, type Kubeconfig, kubeconfigOf, parseKubeconfig } from './kubeconfig.ts'

/** The credentials of a new cluster, in either of their forms. Throws kubeconfig-refused, and request-invalid
 *  for parts that are wrong or do not go together. */
export function newCredentials(given: Credentials, now: Date): Kubeconfig {
  refuseBoth(given)
  const { kubeconfig, server, ca, token } = given
  if (kubeconfig !== undefined) {
    return readable('kubeconfig-refused', parseKubeconfig(kubeconfig, now))
  }
  if (server !== undefined && ca !== undefined && token !== undefined) {
    return readable('request-invalid', kubeconfigOf({ server, ca, token }, now))
  }
  const parts = Object.entries({ server, ca, token })
  const missing = parts.filter(([, value]) => value === undefined)
  return refused(
    missing.length === parts.length
      ? [{ field: '/kubeconfig', message: 'Give a kubeconfig, or all of server, ca and token' }]
      : missing.map(([part]) => ({
          field: `/${part}`,
          message: `server, ca and token go together: give ${part}, too, or a kubeconfig instead`,
        })),
  )
}

/** The credentials once a change is made; undefined: those of before stay. What of the parts is left out is as
 *  `stored`; but the token of before is never sent to another server, or to whom another CA trusts. Throws as
 *  {@link newCredentials} does. */
export async function changedCredentials(
  given: Credentials,
  stored: () => Promise<string>,
  now: Date,
): Promise<Kubeconfig | undefined> {
  refuseBoth(given)
  const { kubeconfig, server, ca, token } = given
  if (kubeconfig !== undefined) return newCredentials({ kubeconfig }, now)
  if (token !== undefined) {
    const others = {
      ...(server === undefined ? {} : { server }),
      ...(ca === undefined ? {} : { ca }),
    }
    const changed = changedKubeconfig(await stored(), { token, ...others }, now)
    return readable('request-invalid', changed)
  }
  if (server === undefined && ca === undefined) return undefined
  const message =
    'Another server or CA takes a token with it, as the one of before is not sent there: give token, too'
  return refused([{ field: '/token', message }])
}

function refuseBoth({ kubeconfig, server, ca, token }: Credentials): void {
  if (kubeconfig === undefined) return
  const given = Object.entries({ server, ca, token }).filter(([, value]) => value !== undefined)
  refuse(
    'request-invalid',
    given.map(([part]) => ({
      field: `/${part}`,
      message: 'Give either a kubeconfig or server, ca and token, not both',
    })),
  )
}

type Type = 'kubeconfig-refused' | 'request-invalid'

function readable(type: Type, read: ReturnType<typeof parseKubeconfig>): Kubeconfig {
  if ('kubeconfig' in read) return read.kubeconfig
  return refused(read.violations, type)
}

function refused(violations: readonly Violation[], type: Type = 'request-invalid'): never {
  refuse(type, violations)
  throw new Problem(type, 'The credentials cannot be used')
}
