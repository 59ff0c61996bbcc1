import { chainOf } from '../../authorities/issuers/current.ts'
import { openLeafKey } from '../../certificates/issuance/key.ts'
import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { toPem } from '../../x509/der/pem.ts'
import type { Pair } from '../renderer.ts'

type Signed = {
  readonly id: string
  readonly serial: string
  readonly issuerId: string
  readonly der: Uint8Array<ArrayBuffer> | null
}

/** Certificate and key as a Secret carries them. Throws key-absent. */
export async function pemOf(ctx: Context, { id, serial, issuerId, der }: Signed): Promise<Pair> {
  if (!der) throw new Error(`certificate ${id} is not signed yet`)
  const [above, key] = await Promise.all([chains(ctx)(issuerId), openLeafKey(ctx, id)])
  return {
    serial,
    chain: pem([Buffer.from(der), ...(above?.chain ?? [])]),
    key: toPem('PRIVATE KEY', key),
  }
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
