import type { Context } from '../../core/context.ts'
import { must } from '../../shared/must.ts'
import { issuerKeyIdentifier, readCertificate } from '../../x509/certificates/read.ts'
import { buildCrl } from '../../x509/crl/list.ts'
import { toPem } from '../../x509/der/pem.ts'
import { assemble } from '../../x509/keys/sign.ts'
import { authorityUnknown } from '../authority.ts'
import { clientsRevoked, type ListedTenant, sharedShards } from '../trust/lists.ts'
import { earlierList, findList, type PublishedList, readList } from './find.ts'
import { fitting, type Given, pemOctets, secretRoom } from './room.ts'
import { authorityList, wholeList } from './urls.ts'

/** Whose clients of an authority a gateway lets in: one tenant's, or everybody's (null). */
export type Clients = { readonly authority: string; readonly tenantId: string | null }

/** What a gateway is given for the clients that it lets in. */
export type GatewayTrust = {
  /** Whom it trusts (`ca.crt`), PEM. */
  readonly trust: string
  /** What is revoked (`ca.crl`), PEM; undefined as long as no client is. */
  readonly crl?: string
  readonly lists: GivenLists
}

/** How it stands with the lists that a gateway is given. */
export type GivenLists = {
  /** When those end that decide about somebody. */
  readonly ends: readonly Date[]
  /** How long trust and lists are, and would be if they had room, in octets of what a Secret holds. */
  readonly octets: number
  /** For each trusted key, what is given. */
  readonly keys: readonly Given[]
  /** The ids of those whose clients are refused, since their lists have no room. */
  readonly refused: readonly string[]
  /** What is to become of clients when the lists have no room. */
  readonly overflow: string
}

/** What a gateway is given that lets in these clients: the anchors, and as soon as one of the clients is
 *  revoked, lists of each of its keys. A verifier that has any wants one for every CA of a chain, and takes
 *  one with an issuingDistributionPoint for certificates that name it (RFC 5280 5.2.5, 6.3.3). So for the
 *  clients of one tenant these are its own list and that of authorities, whatever others revoke; for
 *  everybody's the whole list. Where they have no room in a Secret, `listOverflow` of the authority
 *  decides. Lists that are missing or have ended are made, unless it is told to take them `asPublished`.
 *  Throws authority-unknown, list-unknown, authority-keyless. */
export async function gatewayTrust(
  ctx: Context,
  { authority: name, tenantId }: Clients,
  { asPublished = false }: { readonly asPublished?: boolean } = {},
): Promise<GatewayTrust> {
  const authority = await ctx.db.read.authority.findUnique({
    where: { name, removedAt: null },
    select: {
      id: true,
      listOverflow: true,
      issuers: {
        where: { trusted: true },
        select: { keyId: true, der: true, anchor: true },
        orderBy: { createdAt: 'asc' },
      },
    },
  })
  if (!authority || authority.issuers.length === 0) throw authorityUnknown(name)
  const { issuers, listOverflow: overflow } = authority
  const trust = issuers.map(({ anchor }) => toPem('CERTIFICATE', Buffer.from(anchor))).join('')
  const tenant = tenantId === null ? null : await listedTenant(ctx, tenantId)
  const none = { ends: [], octets: trust.length, keys: [], refused: [], overflow }
  if (!(await clientsRevoked(ctx.db.read, authority.id, { tenant, now: ctx.now() }))) {
    return { trust, lists: none }
  }
  const keys: KeyLists[] = []
  for (const [keyId, [issuer]] of Map.groupBy(issuers, (each) => each.keyId)) {
    const { der } = must(issuer, 'a group has one')
    keys.push(await listsOf(ctx, { keyId, der, tenant, asPublished }))
  }
  return { trust, ...(await within(keys, { overflow, used: trust.length })) }
}

async function listedTenant({ db }: Context, id: string): Promise<ListedTenant> {
  const select = { id: true, crlShard: true }
  return db.read.tenant.findUniqueOrThrow({ where: { id }, select })
}

type List = Pick<PublishedList, 'nextUpdate' | 'der'>

type KeyLists = {
  readonly keyId: string
  readonly der: Uint8Array
  readonly whole: readonly List[]
  /** As they were when a Secret had room for each of them. */
  readonly earlier: readonly List[] | undefined
}

type Wanted = {
  readonly keyId: string
  readonly der: Uint8Array
  readonly tenant: ListedTenant | null
  readonly asPublished: boolean
}

async function listsOf(
  ctx: Context,
  { keyId, der, tenant, asPublished }: Wanted,
): Promise<KeyLists> {
  const shared = tenant ? await sharedShards(ctx.db.read, { keyId, tenant, now: ctx.now() }) : []
  const shards = tenant ? [authorityList, ...shared, tenant.crlShard] : [wholeList]
  const whole: List[] = []
  const earlier: List[] = []
  for (const shard of shards) {
    const found = await (asPublished ? readList : findList)(ctx, { keyId, shard })
    if (!found) continue
    const before = await earlierList(ctx, { keyId, shard })
    whole.push(found)
    earlier.push(before ?? found)
  }
  const any = earlier.some((each, place) => each !== whole[place])
  return { keyId, der, whole, earlier: any ? earlier : undefined }
}

async function within(
  keys: readonly KeyLists[],
  { overflow, used }: { readonly overflow: string; readonly used: number },
): Promise<Omit<GatewayTrust, 'trust'>> {
  const refusals = await Promise.all(keys.map(({ der }) => refusalList(Buffer.from(der))))
  const sized = keys.map(({ whole, earlier }) => ({
    whole: octetsOf(whole),
    ...(overflow === 'tell' && earlier ? { earlier: octetsOf(earlier) } : {}),
  }))
  const refusal = Math.max(...refusals.map((each) => pemOctets(each.length)))
  const given = fitting(sized, { room: secretRoom - used, refusal })
  const lists = keys.flatMap(({ whole, earlier }, place) => {
    if (given[place] === 'refused') return []
    return given[place] === 'earlier' ? (earlier ?? []) : whole
  })
  const without = (_: unknown, place: number) => given[place] === 'refused'
  const ders = [...lists.map(({ der }) => der), ...refusals.filter(without)]
  return {
    crl: ders.map(pemOf).join(''),
    lists: {
      ends: lists.map(({ nextUpdate }) => nextUpdate),
      octets: used + sized.reduce((sum, { whole }) => sum + whole, 0),
      keys: given,
      refused: keys.filter(without).map(({ keyId }) => keyId),
      overflow,
    },
  }
}

function octetsOf(lists: readonly List[]): number {
  return lists.reduce((sum, { der }) => sum + pemOctets(der.length), 0)
}

const pems = new WeakMap<Buffer, string>()

/** Made once while its bytes are kept: a long one takes ten milliseconds, and many hosts hold the same. */
function pemOf(der: Buffer): string {
  const known = pems.get(der)
  if (known !== undefined) return known
  const made = toPem('X509 CRL', der)
  pems.set(der, made)
  return made
}

/** A list by which a gateway refuses every client of this CA certificate: it ended long ago, and nobody
 *  signed it, so that nobody else takes it for one (RFC 5280 6.3.3). It says the same whoever makes it. */
export async function refusalList(der: Buffer): Promise<Buffer> {
  const certificate = readCertificate(der)
  const algorithm = must(certificate.keyAlgorithm, 'the key is one that signs')
  const tbs = await buildCrl(
    {
      issuer: certificate.subjectDer,
      authorityKeyIdentifier: issuerKeyIdentifier(certificate),
      signerAlgorithm: algorithm,
      number: 0n,
      thisUpdate: new Date(ended.thisUpdate),
      nextUpdate: new Date(ended.nextUpdate),
    },
    [],
  )
  return assemble(tbs, algorithm, Buffer.alloc(64))
}

const ended = { thisUpdate: '2000-01-01T00:00:00Z', nextUpdate: '2000-01-02T00:00:00Z' } as const
