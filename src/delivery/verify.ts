import { setTimeout as wait } from 'node:timers/promises'
import { type Answer, nameUnder, shakeHands } from './handshake.ts'

/** What is expected at an ingress. */
export type Expectation = {
  readonly address: string
  readonly hostname: string
  /** The issued certificate. */
  readonly der: Buffer
}

/** Asks the ingress for the host until it serves the issued certificate, or until `patience` is over.
 *  Answers null, or a sentence about what it does instead. */
export async function servedOr(
  expected: Expectation,
  patienceMilliseconds: number,
): Promise<string | null> {
  const { address, hostname, der } = expected
  const answer = await until(expected, patienceMilliseconds, (each) => serves(each, der))
  if (serves(answer, der)) return null
  if (!answer.tls) {
    return `The ingress at ${address} makes no TLS connection for ${hostname}: ${answer.error}`
  }
  const { serialNumber, subject } = answer.tls.leaf
  return `The ingress at ${address} serves another certificate for ${hostname}: serial ${serialNumber.toLowerCase()}, ${subject.replaceAll('\n', ', ')}`
}

/** Asks the ingress until it no longer serves the certificate; answers whether it stopped. An ingress
 *  that cannot be reached serves nobody. */
export async function stopped(
  expected: Expectation,
  patienceMilliseconds: number,
): Promise<boolean> {
  const answer = await until(expected, patienceMilliseconds, (each) => !serves(each, expected.der))
  return !serves(answer, expected.der)
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
    if (done(answer) || performance.now() + pause > end) return answer
    await wait(pause)
  }
}
