import type { KeyObject } from 'node:crypto'
import { record } from '../../audit/record.ts'
import { systemActor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { bytes, sql, type Tx } from '../../core/database/db.ts'
import { oncePer } from '../../core/onceper.ts'
import { openPrivateKey, sealPrivateKey } from '../../core/sealing/privatekey.ts'
import { day, hour } from '../../shared/moment.ts'
import {
  issuerKeyIdentifier,
  type ParsedCertificate,
  readCertificate,
} from '../../x509/certificates/read.ts'
import { serialFrom } from '../../x509/certificates/serial.ts'
import { toBeSigned, type Validity } from '../../x509/certificates/template.ts'
import { backdated, validityOf } from '../../x509/certificates/validity.ts'
import { authorityFaults } from '../../x509/constraints/faults.ts'
import { generateKey } from '../../x509/keys/generate.ts'
import { keyIdentifier, spkiOf } from '../../x509/keys/public.ts'
import { assemble, keySigner, type Signer } from '../../x509/keys/sign.ts'
import { lint } from '../../x509/lints/run.ts'
import { noAltNames } from '../../x509/names/altnames.ts'
import { subjectFaults } from '../../x509/names/attributes.ts'
import { encodeName, joined } from '../../x509/names/distinguished.ts'
import { constraintsAlong } from '../issuers/constraints.ts'
import { pathOf } from '../issuers/current.ts'
import { openSigner } from '../keys/signer.ts'

/** Who signs OCSP answers in the name of an authority's key: the CA key itself signs only this. */
export type Responder = {
  readonly signer: Signer
  readonly spki: Buffer
  readonly der: Buffer
  readonly notAfter: Date
}

const lifetime = 30 * day
/** The next one is made so long before the end. */
const margin = 10 * day

/** When the authority itself is about to end, no responder lasts longer; how soon to look again. */
const retryMilliseconds = hour

type Opening = { readonly responder: Promise<Responder | undefined>; until: Date }

const opened = oncePer(() => new Map<string, Opening>())

/** The responder of this key, shared by all replicas; made when there is none that holds for a while.
 *  Undefined when the authority itself has ended. Throws authority-keyless. */
export async function openResponder(ctx: Context, keyId: string): Promise<Responder | undefined> {
  const known = opened(ctx).get(keyId)
  if (known && known.until > ctx.now()) return known.responder
  // Everyone who asks meanwhile waits for this one; how long it holds is known when it is there.
  const soon = new Date(ctx.now().getTime() + retryMilliseconds)
  const opening = { responder: findOrMake(ctx, keyId), until: soon }
  opened(ctx).set(keyId, opening)
  try {
    const responder = await opening.responder
    const due = new Date((responder?.notAfter.getTime() ?? 0) - margin)
    if (due > soon) opening.until = due
    return responder
  } catch (error) {
    opened(ctx).delete(keyId)
    throw error
  }
}

async function findOrMake(ctx: Context, keyId: string): Promise<Responder | undefined> {
  const issued = await issuerOf(ctx, keyId)
  const end = issued.issuer.validity.notAfter
  if (end <= ctx.now()) return undefined
  const wanted = new Date(Math.min(ctx.now().getTime() + margin, end.getTime()))
  const found = await findUsable(ctx.db.read, keyId, wanted)
  const id = found?.id ?? (await reserve(ctx, keyId, { ...issued, wanted }))
  await finish(ctx, id)
  return read(ctx, id)
}

/** One that holds at least until then. */
function findUsable(tx: Tx, keyId: string, wanted: Date) {
  return tx.responder.findFirst({
    where: { keyId, notAfter: { gte: wanted } },
    orderBy: { notAfter: 'desc' },
    select: { id: true },
  })
}

/** On record, with the exact bytes to be signed, before the CA key is used. Of replicas that need one
 *  at the same time, one makes it. */
async function reserve(
  ctx: Context,
  keyId: string,
  { authority, issuer, subject, wanted }: Awaited<ReturnType<typeof issuerOf>> & { wanted: Date },
): Promise<string> {
  // Refused before anything is on record.
  await openSigner(ctx, keyId)
  const now = ctx.now()
  const { privateKey, publicKey } = await generateKey('ECDSA_P256')
  const serial = serialFrom(ctx.random(16))
  const validity = validityOf({ from: backdated(now), milliseconds: lifetime }, [issuer.validity])
  const tbs = prepare(issuer, { serial, validity, subject, publicKey, now })
  return ctx.db.transaction(async (tx) => {
    await tx.$executeRaw(
      sql`select pg_advisory_xact_lock(hashtextextended(${`responder/${keyId}`}, 0))`,
    )
    const other = await findUsable(tx, keyId, wanted)
    if (other) return other.id
    const id = newId(now)
    const row = { id, keyId, serial, ...validity, tbs: bytes(tbs), createdAt: now }
    await tx.responder.create({ data: row })
    await storeKey(ctx, tx, { responderId: id, privateKey })
    await record(tx, { actor: systemActor('ocsp'), now }, 'authority.delegated', {
      subject: { kind: 'authority', ...authority },
      changes: { purpose: 'ocsp', serial, notAfter: validity.notAfter.toISOString() },
    })
    return id
  })
}

async function issuerOf(ctx: Context, keyId: string) {
  const row = await ctx.db.read.issuer.findFirstOrThrow({
    where: { keyId },
    orderBy: { notAfter: 'desc' },
    select: { id: true, authority: { select: { id: true, name: true, tenantId: true } } },
  })
  const path = (await pathOf(ctx.db.read, row.id)).map(({ der }) => readCertificate(der))
  const [issuer] = path
  if (issuer === undefined) throw new Error(`issuer ${row.id} is on no path`)
  return { authority: row.authority, issuer, subject: subjectOf(issuer, path) }
}

/** What the responder is called: within the directory names that all of its path permit, or verifiers would
 *  not take its answers (RFC 5280 4.2.1.10). */
function subjectOf({ subject }: ParsedCertificate, path: readonly ParsedCertificate[]): Buffer {
  const commonName = `${[...(subject.commonName ?? 'CA')].slice(0, 50).join('')} OCSP`
  // What others call their authorities may be more than we write.
  const own = encodeName({
    commonName: subjectFaults({ commonName }).length > 0 ? 'OCSP responder' : commonName,
  })
  const constraints = constraintsAlong(path)
  const names = [own, ...constraints.permitted.directoryNames.map((space) => joined(space, own))]
  const isPermitted = (name: Buffer) => authorityFaults(name, noAltNames, constraints).length === 0
  return names.find(isPermitted) ?? own
}

/** RFC 6960 4.2.2.2: signed by the CA itself, for OCSP signing alone; and nocheck (4.2.2.2.1), since
 *  asking the responder about itself would lead nowhere: its short life stands in for that. */
function prepare(
  issuer: ParsedCertificate,
  own: {
    readonly serial: string
    readonly validity: Validity
    readonly subject: Buffer
    readonly publicKey: KeyObject
    readonly now: Date
  },
): Buffer {
  const spki = spkiOf(own.publicKey)
  if (issuer.keyAlgorithm === undefined) throw new Error('the key is none that signs')
  const tbs = toBeSigned({
    serial: own.serial,
    validity: own.validity,
    issuer: issuer.subjectDer,
    authorityKeyIdentifier: issuerKeyIdentifier(issuer),
    signerAlgorithm: issuer.keyAlgorithm,
    subject: own.subject,
    spki,
    profile: 'ocsp',
    altNames: noAltNames,
    subjectKeyIdentifier: keyIdentifier(spki),
  })
  const findings = lint(tbs, { issuer, profile: 'ocsp', allowed: { now: own.now } })
  if (findings.length > 0) {
    const broken = findings.map(({ name, detail }) => `${name}: ${detail}`)
    throw new Error(`an OCSP responder's certificate is wrong: ${broken.join('. ')}`)
  }
  return tbs
}

/** Signs exactly the bytes that were stored, unless that has been done. */
async function finish(ctx: Context, id: string): Promise<void> {
  const row = await ctx.db.read.responder.findUniqueOrThrow({
    where: { id },
    select: { tbs: true, keyId: true },
  })
  if (row.tbs === null) return
  const signer = await openSigner(ctx, row.keyId)
  const tbs = Buffer.from(row.tbs)
  const der = assemble(tbs, signer.algorithm, await signer.sign(tbs))
  await ctx.db.read.responder.updateMany({
    where: { id, der: null },
    data: { der: bytes(der), tbs: null },
  })
}

async function read(ctx: Context, id: string): Promise<Responder> {
  const row = await ctx.db.read.responder.findUniqueOrThrow({
    where: { id },
    include: { secret: true },
  })
  if (!row.der || !row.secret) throw new Error(`responder ${id} is not whole`)
  const der = Buffer.from(row.der)
  const signer = keySigner(openPrivateKey(ctx.seal, bindingOf(id), row.secret.sealed))
  return { signer, spki: readCertificate(der).spki, der, notAfter: row.notAfter }
}

async function storeKey(
  ctx: Context,
  tx: Tx,
  { responderId, privateKey }: { responderId: string; privateKey: KeyObject },
): Promise<void> {
  const sealed = bytes(sealPrivateKey(ctx.seal, bindingOf(responderId), privateKey))
  await tx.responderSecret.create({ data: { responderId, sealed } })
}

function bindingOf(responderId: string): string {
  return `responder_secret/${responderId}`
}
