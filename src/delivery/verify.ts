import { setTimeout as wait } from 'node:timers/promises'
import { type Answer, nameUnder, shakeHands } from './handshake.ts'

/** What is expected at an ingress. */
export type Expectation = {
  readonly address: string
  readonly hostname: string
  /** The issued certificate. */
  readonly der: Buffer
}

/** What an ingress was found to do. `unanswered`: it let the time of a handshake pass in silence. */
export type Verdict = { readonly fault: string | null; readonly unanswered: boolean }

/** Asks the ingress for the host until it serves the issued certificate, or until `patience` is over;
 *  one that says nothing is not asked twice. The fault is a sentence about what it does instead. */
export async function servedOr(
  expected: Expectation,
  patienceMilliseconds: number,
): Promise<Verdict> {
  const { address, hostname, der } = expected
  const answer = await until(expected, patienceMilliseconds, (each) => serves(each, der))
  return {
    fault: serves(answer, der) ? null : faultOf(answer, { address, hostname }),
    unanswered: answer.late,
  }
}

function faultOf(
  { tls, error }: Answer,
  { address, hostname }: Pick<Expectation, 'address' | 'hostname'>,
): string {
  if (!tls) return `The ingress at ${address} makes no TLS connection for ${hostname}: ${error}`
  const { serialNumber, subject } = tls.leaf
  return `The ingress at ${address} serves another certificate for ${hostname}: serial ${serialNumber.toLowerCase()}, ${subject.replaceAll('\n', ', ')}`
}

/** Asks the ingress until it no longer serves the certificate; answers whether it stopped. An ingress
 *  that cannot be reached, or says nothing, serves nobody. */
export async function stopped(
  expected: Expectation,
  patienceMilliseconds: number,
): Promise<{ readonly stopped: boolean; readonly unanswered: boolean }> {
  const answer = await until(expected, patienceMilliseconds, (each) => !serves(each, expected.der))
  return { stopped: !serves(answer, expected.der), unanswered: answer.late }
}

function serves({ tls }: Answer, der: Buffer): boolean {
  return tls?.leaf.raw.equals(der) ?? false
}

async function until(
  { address, hostname }: Expectation,
  patienceMilliseconds: number,
  done: (answer: Answer) => boolean,
): Promise<Answer> {
  const end = performance.now() + patienceMilliseconds
  for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
    const answer = await shakeHands({ address, name: nameUnder(hostname) })
    if (done(answer) || answer.late || performance.now() + pause > end) return answer
    await wait(pause)
  }
}
