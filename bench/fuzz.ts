import { parseArgs } from 'node:util'
import { readCertificate } from '../src/x509/certificates/read.ts'
import { readRequest } from '../src/x509/certificates/request.ts'
import { readCrl } from '../src/x509/crl/list.ts'
import { X509Error } from '../src/x509/der/errors.ts'
import { pemBlocks, readPem } from '../src/x509/der/pem.ts'
import { isEncrypted, loadPrivateKey } from '../src/x509/keys/private.ts'
import { readOcspRequest } from '../src/x509/ocsp.ts'
import { openKeyBlock } from '../src/x509/stores/keytext.ts'
import { openPkcs12 } from '../src/x509/stores/read.ts'
import { makeSamples } from './fuzzsamples.ts'

// Every reader of what strangers send is given real samples that were damaged: it reads them, or refuses them by an
// error of its own, within bounds of time and memory. node bench/fuzz.ts --inputs 1000000 --seed 1

/** What a reader made of its inputs. */
export type Fuzzed = {
  readonly reader: string
  readonly inputs: number
  readonly read: number
  readonly refused: number
  readonly slowestMilliseconds: number
}

type Reader = {
  readonly name: string
  readonly samples: readonly Buffer[]
  readonly read: (input: Buffer) => unknown
}

/** Gives each reader its share of `inputs`. Throws what no reader may throw, with the input in base64. */
export async function fuzz({
  inputs,
  seed,
}: {
  readonly inputs: number
  readonly seed: number
}): Promise<readonly Fuzzed[]> {
  const random = numbersFrom(seed)
  const readers = readersOf(makeSamples())
  const told: Fuzzed[] = []
  for (const reader of readers) {
    told.push(await fuzzOne(reader, Math.ceil(inputs / readers.length), random))
  }
  return told
}

async function fuzzOne(reader: Reader, inputs: number, random: Numbers): Promise<Fuzzed> {
  let [read, refused, slowest] = [0, 0, 0]
  for (let n = 0; n < inputs; n++) {
    const input = damaged(reader.samples, random)
    const begun = performance.now()
    if (await outcome(reader, input)) read++
    else refused++
    slowest = Math.max(slowest, performance.now() - begun)
  }
  return { reader: reader.name, inputs, read, refused, slowestMilliseconds: Math.round(slowest) }
}

async function outcome({ name, read }: Reader, input: Buffer): Promise<boolean> {
  try {
    await read(input)
    return true
  } catch (error) {
    if (error instanceof X509Error) return false
    throw new Error(`${name} throws on ${input.toString('base64')}`, { cause: error })
  }
}

/** A number from 0 to below `below`. */
type Numbers = (below: number) => number

/** The same numbers for the same seed (mulberry32). */
function numbersFrom(seed: number): Numbers {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Octets that are lengths, tags and ends to a reader of DER. */
const telling = [0x00, 0x01, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xff] as const

function damaged(samples: readonly Buffer[], random: Numbers): Buffer {
  let input: Buffer = Buffer.from(samples[random(samples.length)] ?? [])
  for (let times = 1 + random(4); times > 0; times--) input = damagedOnce(input, samples, random)
  return input.subarray(0, 1 << 17)
}

function damagedOnce(input: Buffer, samples: readonly Buffer[], random: Numbers): Buffer {
  const at = random(input.length + 1)
  const length = random(32)
  const other = samples[random(samples.length)] ?? input
  const from = random(other.length + 1)
  switch (random(7)) {
    case 0:
      return changed(input, at, random(256))
    case 1:
      return changed(input, at, telling[random(telling.length)] ?? 0)
    case 2:
      return input.subarray(0, at)
    case 3:
      return Buffer.concat([input.subarray(0, at), input.subarray(at + length)])
    case 4:
      return Buffer.concat([
        input.subarray(0, at),
        other.subarray(from, from + length),
        input.subarray(at),
      ])
    case 5:
      return Buffer.concat([input.subarray(0, at), other.subarray(from)])
    default:
      return Buffer.concat([input.subarray(0, at), input.subarray(Math.max(0, at - length * 8))])
  }
}

function changed(input: Buffer, at: number, octet: number): Buffer {
  if (at < input.length) input[at] = octet
  return input
}

type Samples = ReturnType<typeof makeSamples>

function readersOf(samples: Samples): readonly Reader[] {
  const { pems, certificates, requests, lists, ocsp, keys, keyTexts, stores } = samples
  return [
    { name: 'PEM', samples: pems, read: (input) => readPem(input.toString('latin1')) },
    { name: 'certificate', samples: certificates, read: readCertificate },
    { name: 'CSR', samples: requests, read: readRequest },
    { name: 'revocation list', samples: lists, read: readCrl },
    { name: 'OCSP request', samples: ocsp, read: readOcspRequest },
    {
      name: 'private key',
      samples: keys,
      read: (input) => {
        const labels = ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY']
        for (const label of labels.slice(0, -1)) {
          try {
            return loadPrivateKey({ label, der: input })
          } catch (error) {
            if (!(error instanceof X509Error)) throw error
          }
        }
        return loadPrivateKey({ label: 'EC PRIVATE KEY', der: input })
      },
    },
    {
      name: 'encrypted private key',
      samples: keyTexts,
      read: (input) =>
        pemBlocks(input.toString('latin1'))
          .filter(isEncrypted)
          .map((block) => openKeyBlock(block, 'secret')),
    },
    { name: 'PKCS#12', samples: stores, read: (input) => openPkcs12(input, 'secret') },
  ]
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
    },
  })
  const begun = performance.now()
  const before = process.memoryUsage().rss
  const told = await fuzz({ inputs: Number(values.inputs), seed: Number(values.seed) })
  console.table(told)
  const grown = Math.round((process.memoryUsage().rss - before) / 1e6)
  const all = told.reduce((sum, { inputs }) => sum + inputs, 0)
  console.log(
    `${all} inputs, seed ${values.seed}, ${Math.round((performance.now() - begun) / 1000)} s, memory ${grown} MB more`,
  )
}
