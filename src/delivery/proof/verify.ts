import { setTimeout as wait } from 'node:timers/promises'
import type { Call } from './connection.ts'
import { type HandshakeAnswer, nameUnder, shakeHands } from './handshake.ts'

/** What is expected at an ingress. */
export type Expectation = {
  readonly address: string
  readonly hostname: string
  /** The issued certificate. */
  readonly der: Buffer
  /** PEM: whom its clients trust. */
  readonly trust?: readonly string[]
  /** MUTUAL: whose clients are let in, and one of them. */
  readonly clients?: {
    readonly authority: string
    readonly client?: NonNullable<Call['client']>
  }
}

/** What an ingress was found to do. `unanswered`: it let the time of a handshake pass in silence. */
export type Verdict = { readonly fault: string | null; readonly unanswered: boolean }

/** Asks the ingress for the host until it does all that is expected, or until the time is over; one
 *  that says nothing is not asked twice. The fault is a sentence about what it does instead. */
async function awaitServed(expected: Expectation, timeoutMilliseconds: number): Promise<Verdict> {
  const end = performance.now() + timeoutMilliseconds
  for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
    const found = await look(expected)
    const { fault, unanswered } = found
    if (fault === null || unanswered || performance.now() + pause > end) return found
    await wait(pause)
  }
}

/** The same for each of these names, in turn and within one time: a Gateway serves all of its names or none,
 *  unless others are in the way of one. */
export async function awaitAllServed(
  expected: Omit<Expectation, 'hostname'>,
  hostnames: readonly string[],
  timeoutMilliseconds: number,
): Promise<Verdict> {
  const end = performance.now() + timeoutMilliseconds
  for (const hostname of hostnames) {
    const found = await awaitServed({ ...expected, hostname }, end - performance.now())
    if (found.fault !== null) return found
  }
  return { fault: null, unanswered: false }
}

async function look(expected: Expectation): Promise<Verdict> {
  const { address, hostname, trust, clients } = expected
  const name = nameUnder(hostname)
  const call = { address, name, leafAlone: true, ...(trust ? { trust } : {}) }
  const client = clients?.client
  const answer = await shakeHands({ ...call, ...(client ? { client } : {}) })
  const fault = servingFault(expected, answer)
  if (fault !== null || !clients) return { fault, unanswered: answer.late }
  if (client && !answer.accepted) {
    return found(
      `The ingress at ${address} refuses clients of "${clients.authority}": ${answer.error}`,
    )
  }
  const stranger = client ? await shakeHands(call) : answer
  return found(
    stranger.accepted
      ? `The ingress at ${address} lets in clients of ${hostname} that show no certificate`
      : null,
  )
}

function found(fault: string | null): Verdict {
  return { fault, unanswered: false }
}

function servingFault(
  { address, hostname, der }: Expectation,
  { tls, error, finished }: HandshakeAnswer,
): string | null {
  if (!tls) return `The ingress at ${address} makes no TLS connection for ${hostname}: ${error}`
  if (!tls.leaf.raw.equals(der)) {
    const { serialNumber, subjectAltName } = tls.leaf
    // Node has none for a certificate that names nobody in its subject, as those of many CAs elsewhere do.
    const subject: string | undefined = tls.leaf.subject
    const who = subject?.replaceAll('\n', ', ') ?? subjectAltName ?? 'of nobody'
    return `The ingress at ${address} serves another certificate for ${hostname}: serial ${serialNumber.toLowerCase()}, ${who}`
  }
  // There is no verdict before the handshake is over.
  if (!finished || tls.distrust === null) return null
  return `The ingress at ${address} serves its certificate in a way that clients do not trust: ${tls.distrust}`
}

/** Asks the ingress until it no longer serves the certificate; answers whether it stopped. An ingress
 *  that cannot be reached, or says nothing, serves nobody. */
export async function stopped(
  expected: Expectation,
  timeoutMilliseconds: number,
): Promise<{ readonly stopped: boolean; readonly unanswered: boolean }> {
  const answer = await until(expected, timeoutMilliseconds, (each) => !serves(each, expected.der))
  return { stopped: !serves(answer, expected.der), unanswered: answer.late }
}

function serves({ tls }: HandshakeAnswer, der: Buffer): boolean {
  return tls?.leaf.raw.equals(der) ?? false
}

async function until(
  { address, hostname }: Expectation,
  timeoutMilliseconds: number,
  done: (answer: HandshakeAnswer) => boolean,
): Promise<HandshakeAnswer> {
  const end = performance.now() + timeoutMilliseconds
  for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
    const answer = await shakeHands({ address, name: nameUnder(hostname), leafAlone: true })
    if (done(answer) || answer.late || performance.now() + pause > end) return answer
    await wait(pause)
  }
}
