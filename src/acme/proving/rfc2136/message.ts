import { MalformedMessage, readWireName, wireName } from './names.ts'

/** One TXT record at a name of a zone, to be there or not. */
export type TxtChange = {
  readonly action: 'present' | 'cleanup'
  readonly zone: string
  readonly name: string
  readonly value: string
}

const classes = { in: 1, none: 254, any: 255 } as const
const types = { soa: 6, txt: 16, tsig: 250 } as const
/** What a message asks for (RFC 1035 4.1.1, RFC 2136 1.3). */
const opcodes = { query: 0, update: 5 } as const
export type Opcode = keyof typeof opcodes
const headerLength = 12
const ttlSeconds = 60

/** A dynamic update of one record (RFC 2136 2): present adds it to those that have its name (2.5.1), which changes nothing
 *  where it is there already (3.4.2.2); cleanup deletes it and no other of its name (2.5.4), which changes nothing where it is not
 *  there. `id` is of 16 bits. Throws MalformedMessage for what cannot be written. */
export function updateMessage(id: number, { action, zone, name, value }: TxtChange): Buffer {
  const text = Buffer.from(value, 'latin1')
  if (text.length > 255) throw new MalformedMessage('that is no string of a TXT record')
  const header = Buffer.alloc(headerLength)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(opcodes.update << 11, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(1, 8)
  const adds = action === 'present'
  return Buffer.concat([
    ...[header, wireName(zone), shorts(types.soa, classes.in)],
    ...[wireName(name), shorts(types.txt, adds ? classes.in : classes.none)],
    ...[shorts(0, adds ? ttlSeconds : 0), shorts(text.length + 1), Buffer.of(text.length), text],
  ])
}

/** The question in which zone a name is: who has it answers with its SOA record, or names that with its no (RFC 2308 3). Throws
 *  MalformedMessage. */
export function zoneQuestion(id: number, name: string): Buffer {
  const header = Buffer.alloc(headerLength)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(1, 4)
  return Buffer.concat([header, wireName(name), shorts(types.soa, classes.in)])
}

/** Numbers of 16 bits, one after the other. */
export function shorts(...values: readonly number[]): Buffer {
  const octets = Buffer.alloc(values.length * 2)
  for (const [index, value] of values.entries()) octets.writeUInt16BE(value, index * 2)
  return octets
}

/** A TSIG record as it was received (RFC 8945 4.2), its names as `wireName` has them. */
export type Tsig = {
  readonly name: Buffer
  readonly algorithm: Buffer
  /** Seconds since 1970. */
  readonly time: number
  readonly fuzz: number
  readonly mac: Buffer
  readonly originalId: number
  readonly error: number
  readonly other: Buffer
}

/** What a server answers to an update, or to a question. */
export type UpdateAnswer = {
  readonly id: number
  /** Whether it has the zone itself. */
  readonly authoritative: boolean
  /** Of which zone it has an SOA record in it. */
  readonly zone: Buffer | undefined
  readonly rcode: number
  /** What it is signed by, and where in the message that begins. */
  readonly signature: { readonly tsig: Tsig; readonly at: number } | undefined
}

/** Reads an answer (RFC 2136 2.2, 3.8; RFC 1035 4.1): all of it has to be there, and TSIG to be its last record (RFC 8945 5.1).
 *  Throws MalformedMessage for what is none. */
export function readAnswer(message: Buffer, asked: Opcode = 'update'): UpdateAnswer {
  if (message.length < headerLength) throw new MalformedMessage('it is too short')
  const flags = message.readUInt16BE(2)
  if (flags >> 15 !== 1 || ((flags >> 11) & 15) !== opcodes[asked]) {
    throw new MalformedMessage('it is no answer to what was asked')
  }
  const count = (index: number) => message.readUInt16BE(4 + index * 2)
  let at = headerLength
  for (let left = count(0); left > 0; left--) at = readWireName(message, at).end + 4
  const additional = count(3)
  let signature: UpdateAnswer['signature']
  let zone: Buffer | undefined
  for (let left = count(1) + count(2) + additional; left > 0; left--) {
    const record = readRecord(message, at)
    if (record.type === types.soa && left > additional) zone ??= record.name
    if (record.type === types.tsig) {
      if (left > 1 || additional === 0) throw new MalformedMessage('TSIG is not its last record')
      signature = { tsig: readTsig(message, record), at }
    }
    at = record.end
  }
  if (at !== message.length) throw new MalformedMessage('its length is not what it says')
  const authoritative = ((flags >> 10) & 1) === 1
  return { id: message.readUInt16BE(0), authoritative, zone, rcode: flags & 15, signature }
}

type RecordPlace = {
  readonly name: Buffer
  readonly type: number
  readonly class: number
  readonly ttl: number
  /** Where its data begin and end. */
  readonly start: number
  readonly end: number
}

function readRecord(message: Buffer, at: number): RecordPlace {
  const { name, end: fixed } = readWireName(message, at)
  const start = fixed + 10
  if (start > message.length) throw new MalformedMessage('a record is cut off')
  const end = start + message.readUInt16BE(fixed + 8)
  if (end > message.length) throw new MalformedMessage('a record is cut off')
  return {
    ...{ name, type: message.readUInt16BE(fixed), class: message.readUInt16BE(fixed + 2) },
    ...{ ttl: message.readUInt32BE(fixed + 4), start, end },
  }
}

function readTsig(message: Buffer, record: RecordPlace): Tsig {
  const malformed = new MalformedMessage('its TSIG cannot be read')
  if (record.class !== classes.any || record.ttl !== 0) throw malformed
  const { name: algorithm, end: at } = readWireName(message, record.start)
  if (at + 10 > record.end) throw malformed
  const macEnd = at + 10 + message.readUInt16BE(at + 8)
  if (macEnd + 6 > record.end) throw malformed
  if (macEnd + 6 + message.readUInt16BE(macEnd + 4) !== record.end) throw malformed
  return {
    ...{ name: record.name, algorithm, time: message.readUIntBE(at, 6) },
    ...{ fuzz: message.readUInt16BE(at + 6), mac: message.subarray(at + 10, macEnd) },
    ...{ originalId: message.readUInt16BE(macEnd), error: message.readUInt16BE(macEnd + 2) },
    other: message.subarray(macEnd + 6, record.end),
  }
}

/** A message with this TSIG record after all that it has (RFC 8945 4.2, 5.1). */
export function withTsig(message: Buffer, tsig: Tsig): Buffer {
  const { name, algorithm, time, fuzz, mac, originalId, error, other } = tsig
  const data = Buffer.concat([
    ...[algorithm, seconds(time), shorts(fuzz, mac.length), mac],
    ...[shorts(originalId, error, other.length), other],
  ])
  const head = Buffer.from(message)
  head.writeUInt16BE(message.readUInt16BE(10) + 1, 10)
  const fixed = shorts(types.tsig, classes.any, 0, 0, data.length)
  return Buffer.concat([head, name, fixed, data])
}

/** A message as it was before it was signed (RFC 8945 4.3.2): without its TSIG record, and of the id that it had then. */
export function withoutTsig(
  message: Buffer,
  { tsig, at }: NonNullable<UpdateAnswer['signature']>,
): Buffer {
  const bare = Buffer.from(message.subarray(0, at))
  bare.writeUInt16BE(tsig.originalId, 0)
  bare.writeUInt16BE(bare.readUInt16BE(10) - 1, 10)
  return bare
}

/** What of a TSIG record is signed beside the message (RFC 8945 4.3.3). */
export function tsigVariables({ name, algorithm, time, fuzz, error, other }: Tsig): Buffer {
  return Buffer.concat([
    ...[name, shorts(classes.any, 0, 0), algorithm, seconds(time)],
    ...[shorts(fuzz, error, other.length), other],
  ])
}

function seconds(time: number): Buffer {
  const octets = Buffer.alloc(6)
  octets.writeUIntBE(time, 0, 6)
  return octets
}
