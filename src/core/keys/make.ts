import { type EncodedKey, generateEncodedKey } from '../../x509/keys/generate.ts'
import type { KeyAlgorithm } from '../../x509/keys/public.ts'
import { type Context, lasting } from '../context.ts'
import { oncePer } from '../onceper.ts'
import { fairTurns, type Room } from './turns.ts'

/** Whose key is made: a tenant's, or the platform's own (null); `unasked` when no request waits for it,
 *  but a job. */
export type KeyFor = { readonly tenantId: string | null; readonly unasked?: boolean }

/** Jobs hold a worker's slot while they wait: few may, the others come back later. */
const unaskedRoom: Room = { all: 4, each: 1 }

/** RSA keys are made one after the other: several at once would take every thread of the pool, and all
 *  who ask for an EC key would wait for seconds. */
const rsaTurns = oncePer(() =>
  fairTurns({ atOnce: 1, room: { all: 200, each: 50 }, what: 'RSA keys', seconds: 1 }),
)

/** A fresh key: EC at once, RSA in turns that are fair between tenants. Throws busy when too many RSA
 *  keys are waited for. */
export async function makeKey(
  ctx: Context,
  algorithm: KeyAlgorithm,
  { tenantId, unasked = false }: KeyFor,
): Promise<EncodedKey> {
  if (!algorithm.startsWith('RSA')) return generateEncodedKey(algorithm)
  const make = () => generateEncodedKey(algorithm)
  return rsaTurns(lasting(ctx))(tenantId ?? 'platform', make, unasked ? unaskedRoom : undefined)
}
