import { chainOf } from '../../authorities/issuers/current.ts'
import type { SignedBy } from '../../certificates/chain.ts'
import { openLeafKey } from '../../certificates/issuance/key.ts'
import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { toPem } from '../../x509/der/pem.ts'
import type { Pair } from '../renderer.ts'

type Signed = SignedBy & {
  readonly id: string
  readonly serial: string
  readonly der: Uint8Array<ArrayBuffer> | null
}

/** Certificate and key as a Secret carries them. Throws key-absent. */
export async function pemOf(ctx: Context, { id, serial, der, ...signed }: Signed): Promise<Pair> {
  if (!der) throw new Error(`certificate ${id} is not signed yet`)
  const [above, key] = await Promise.all([chainAbove(ctx, signed), openLeafKey(ctx, id)])
  return {
    serial,
    chain: toPem('CERTIFICATE', Buffer.from(der)) + above,
    key: toPem('PRIVATE KEY', key),
  }
}

async function chainAbove(ctx: Context, { issuerId, chainPem }: SignedBy): Promise<string> {
  return issuerId === null ? (chainPem ?? '') : pem((await chains(ctx)(issuerId))?.chain ?? [])
}

/** Many hosts that are brought at once have one issuer. */
const chains = oncePer((ctx) =>
  batchedReads(
    (ids) => Promise.all(ids.map(async (id) => ({ id, chain: await chainOf(ctx.db.read, id) }))),
    ({ id }) => id,
  ),
)

function pem(ders: readonly Buffer[]): string {
  return ders.map((der) => toPem('CERTIFICATE', der)).join('')
}
