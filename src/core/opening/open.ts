import { Worker } from 'node:worker_threads'
import Value from 'typebox/value'
import { X509Error } from '../../x509/der/errors.ts'
import type { EncodedPrivateKey } from '../../x509/keys/private.ts'
import { type Context, lasting } from '../context.ts'
import { fairTurns } from '../keys/turns.ts'
import { oncePer } from '../onceper.ts'
import { Opened, type Sealed } from './message.ts'

/** What was in a store, not looked into: read it before it is believed. */
export type OpenedStore = {
  readonly certificates: readonly Buffer[]
  readonly keys: readonly EncodedPrivateKey[]
}

/** Ample for the most iterations that are taken, on a machine that has much else to do. */
const mostMilliseconds = 30_000

const limits = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 24, stackSizeMb: 4 }

const turnsToOpen = oncePer(() =>
  fairTurns({ atOnce: 1, room: { all: 50, each: 10 }, what: 'encrypted stores', seconds: 1 }),
)

/** Opens what is encrypted, or came from tools that write it in their own way, in a thread of its own with bounds
 *  of time and memory, when the turn of `party` has come. Throws X509Error `store-refused`, busy. */
export function openSealed(
  ctx: Context,
  party: string,
  sealed: Sealed,
  most = mostMilliseconds,
): Promise<OpenedStore> {
  return turnsToOpen(lasting(ctx))(party, async () => {
    const answer = await inThread(ctx, sealed, most)
    if ('refused' in answer) throw new X509Error('store-refused', answer.refused)
    const octets = (base64: string) => Buffer.from(base64, 'base64')
    return {
      certificates: answer.certificates.map(octets),
      keys: answer.keys.map(({ label, der }) => ({ label, der: octets(der) })),
    }
  })
}

/** Beside this file; what is built has it in parts/ (tools/bundle.ts). */
function threadFile(): URL {
  const here = import.meta.url
  if (here.endsWith('.ts')) return new URL('./thread.ts', here)
  return new URL(/\/parts\/[^/]*$/.test(here) ? './thread.js' : './parts/thread.js', here)
}

function inThread(ctx: Context, sealed: Sealed, most: number): Promise<Opened> {
  const worker = new Worker(threadFile(), { workerData: sealed, resourceLimits: limits })
  return new Promise<Opened>((resolve, reject) => {
    const late = setTimeout(() => {
      reject(tooLong(`it takes longer than ${most / 1000} s to open`))
    }, most)
    worker.once('message', (message: unknown) => resolve(Value.Parse(Opened, message)))
    worker.once('error', (error) => {
      // What it was about is not told: it may hold a part of what was sent.
      ctx.log.warn({ error: error.name }, 'what was sent to be opened ended the thread')
      reject(tooLong('it takes more memory or depth than there is for it'))
    })
    worker.once('exit', () => {
      clearTimeout(late)
      reject(tooLong('it cannot be opened'))
    })
  }).finally(() => worker.terminate())
}

function tooLong(why: string): X509Error {
  return new X509Error('store-refused', `The store or the key is refused: ${why}`)
}
