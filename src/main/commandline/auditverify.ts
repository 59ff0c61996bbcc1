import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import Value from 'typebox/value'
import { readCheckpoint, readVerifierKey } from '../../audit/chain/checkpoint.ts'
import { entryHash, linkHash, startOf } from '../../audit/chain/hash.ts'
import { grown, merkleRoot } from '../../audit/chain/tree.ts'
import { AuditEvent } from '../../audit/event.ts'

type Options = { readonly checkpoint?: string; readonly key?: string }

/** An event's place, as its export tells it, and the hash of what it tells. */
type Place = {
  readonly seq: string
  readonly chain: string
  readonly position: bigint
  readonly index: bigint
  readonly hash: Buffer
  readonly entry: Buffer
}

/** Reads exported events, oldest first, and prints what is wrong with them; answers the exit code: 0 when
 *  nothing is. Throws one sentence for a file that is no export, or no checkpoint of this key. */
export async function printAuditVerification(
  path: string,
  { checkpoint, key }: Options,
): Promise<number> {
  const places: Place[] = []
  let unlinked = 0
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const place = placeOf(eventIn(line))
    if (place === undefined) unlinked++
    else places.push(place)
  }
  const chains = Map.groupBy(places, ({ chain }) => chain)
  const faults = [...chains.values()].flatMap(chainFaults)
  if (checkpoint !== undefined) {
    faults.push(...(await againstCheckpoint(places, { checkpoint, key: key ?? '' })))
  }
  for (const fault of faults) process.stdout.write(`${fault}\n`)
  process.stdout.write(
    `${faults.length === 0 ? 'Nothing is wrong' : `${faults.length} faults`}: ${places.length} events in ${chains.size} chains, ${unlinked} events that no chain holds yet\n`,
  )
  return faults.length === 0 ? 0 : 1
}

function eventIn(line: string): AuditEvent {
  const value: unknown = parse(line)
  if (Value.Check(AuditEvent, value)) return value
  throw new Error(`This is no line of an export of audit events: ${line.slice(0, 80)}`)
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function placeOf(event: AuditEvent): Place | undefined {
  const { seq, chain } = event
  if (chain === null) return undefined
  return {
    seq,
    chain: chain.id,
    position: BigInt(chain.position),
    index: BigInt(chain.index),
    hash: Buffer.from(chain.hash, 'hex'),
    entry: entryHash(event),
  }
}

/** An export may begin anywhere: the first event of a chain that is not its first is taken as it is. */
function chainFaults(places: readonly Place[]): readonly string[] {
  const ordered = places.toSorted((a, b) => (a.position < b.position ? -1 : 1))
  return ordered.flatMap(({ seq, chain, position, hash, entry }, at) => {
    const before = ordered[at - 1]
    const gap = before && before.position + 1n !== position
    if (gap) {
      return [
        `Chain ${chain}: position ${position} follows ${before.position}: events are missing or moved`,
      ]
    }
    const previous = position === 1n ? startOf(chain) : before?.hash
    return previous === undefined || linkHash(previous, entry).equals(hash)
      ? []
      : [`Event ${seq} was changed: it does not fit its place in chain ${chain}`]
  })
}

async function againstCheckpoint(
  places: readonly Place[],
  { checkpoint, key }: Required<Options>,
): Promise<readonly string[]> {
  const logKey = readVerifierKey(key)
  if (!logKey) throw new Error('Give --key as GET /v1/audit-events/verify answers it')
  const said = readCheckpoint(await readFile(checkpoint, 'utf8'), logKey)
  if (!said) throw new Error('The checkpoint was not signed by this key')
  const held = places
    .filter(({ index }) => index < said.size)
    .toSorted((a, b) => (a.index < b.index ? -1 : 1))
  if (BigInt(held.length) !== said.size) {
    return [`The checkpoint holds ${said.size} events, and ${held.length} of them are here`]
  }
  const leaves = held.map(({ hash }) => hash)
  return merkleRoot(grown([], 0n, leaves)).equals(said.root)
    ? []
    : ['The events are not those that the checkpoint was signed for']
}
