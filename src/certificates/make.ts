import { batched } from '../ground/batch.ts'
import type { Context } from '../ground/context.ts'
import { perContext } from '../ground/percontext.ts'
import { Problem } from '../words/problem.ts'
import { type EncodedKey, generateEncodedKey } from '../x509/keygen.ts'
import type { KeyAlgorithm } from '../x509/keys.ts'

/** How many RSA keys may wait to be made; each takes from tenths of a second to seconds. */
const longestQueue = 50

type Mill = { waiting: number; readonly make: (algorithm: KeyAlgorithm) => Promise<EncodedKey> }

/** RSA keys are made one after the other: several at once would take every thread of the pool, and all
 *  who ask for an EC key would wait for seconds. */
const mills = perContext(
  (): Mill => ({
    waiting: 0,
    make: batched(async (algorithms) => Promise.all(algorithms.map(generateEncodedKey)), {
      size: 1,
      lanes: 1,
    }),
  }),
)

/** A fresh key for a certificate. Throws unavailable when too many RSA keys are waited for. */
export async function makeKey(ctx: Context, algorithm: KeyAlgorithm): Promise<EncodedKey> {
  if (!algorithm.startsWith('RSA')) return generateEncodedKey(algorithm)
  const mill = mills(ctx)
  if (mill.waiting >= longestQueue) {
    throw new Problem(
      'unavailable',
      'Too many RSA keys are being made just now; try again later, or ask for an ECDSA key',
    )
  }
  mill.waiting++
  try {
    return await mill.make(algorithm)
  } finally {
    mill.waiting--
  }
}
