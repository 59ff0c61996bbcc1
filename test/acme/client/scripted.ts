import assert from 'node:assert/strict'
import { advanceAccount } from '../../../src/acme/client/account.ts'
import { advanceOrder } from '../../../src/acme/ordering/advance.ts'
import type { NewCaChallenge } from '../../../src/authorities/acme/schema.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import type { Context } from '../../../src/core/context.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { deadKubeconfig } from '../../support/kubeconfig.ts'
import { openScriptedCa } from '../../support/scriptedca.ts'

/** A service whose clock is `clock.at`, with an account `public` at a CA that answers by script, and a cluster that nobody
 *  asks; no worker does anything: that is done by hand, see `work`. */
export async function openScripted(challenge: NewCaChallenge = { type: 'http-01' }) {
  const clock = { at: Date.now() }
  const now = () => new Date(clock.at)
  const ctx = await openTestContext({ now }, { caRanges: ['127.0.0.0/8'] })
  const scripted = await openScriptedCa()
  const account = async (name: string, more: object = {}) => {
    await createAuthority(ctx, admin, {
      ...{ name, kind: 'acme', directory: `${scripted.url}/directory`, challenge },
      ...{ trustedRoots: scripted.roots, termsOfServiceAgreed: true, ...more },
    })
    const { id } = await ctx.db.read.authority.findFirstOrThrow({ where: { name } })
    return id
  }
  const authorityId = await account('public')
  await advanceAccount(ctx, authorityId)
  const kubeconfig = deadKubeconfig('a-token')
  const ingress = { address: '127.0.0.1:1' }
  await createCluster(ctx, admin, { name: 'nowhere', kubeconfig, ingress })
  const tenant = { name: 'shop', domains: ['shop.test'], namespaces: ['test'] }
  await createTenant(ctx, admin, { ...tenant, defaultAuthority: 'public' })
  let made = 0
  /** A host of a name of its own; answers its id. */
  const host = async (name = `h${made++}.shop.test`) => {
    const to = { service: 'httpbin', namespace: 'test', port: 80 }
    const spec = { routes: [{ to }], clusters: ['nowhere'] }
    await putHost(ctx, admin, { tenant: 'shop', name, spec })
    const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
    return { id, name }
  }
  return { ...scripted, ctx, clock, authorityId, account, host }
}

/** Does what is due of a host and its orders, as a worker would, for so many turns at most, each of which is `seconds`
 *  after the one before. */
export async function work(
  ctx: Context,
  hostId: string,
  { clock, turns = 6, seconds = 5 }: { clock: { at: number }; turns?: number; seconds?: number },
): Promise<void> {
  await certifyHost(ctx, hostId)
  for (let turn = 0; turn < turns; turn++) {
    const orders = await ctx.db.read.caOrder.findMany({ where: { hostId, cleanedAt: null } })
    if (orders.length === 0) break
    for (const { id } of orders) await advanceOrder(ctx, id)
    clock.at += seconds * 1000
  }
  await certifyHost(ctx, hostId)
}

/** What is said on the host where it is placed. */
export async function saidOn(ctx: Context, hostId: string): Promise<string> {
  const { status, message } = await ctx.db.read.placement.findFirstOrThrow({ where: { hostId } })
  return `${status}: ${message}`
}

/** The certificates of a host. */
export function certificatesOf(ctx: Context, hostId: string) {
  return ctx.db.read.certificate.findMany({ where: { hostId } })
}

/** The same service in a process that dies when `life.left` times its database was asked for something, or when
 *  `life.dead` says so: from then on it stores nothing. */
export function mortal(ctx: Context, life: { dead: boolean; left: number }): Context {
  const db = new Proxy(ctx.db, {
    get: (target, name) => {
      if (life.dead || life.left-- <= 0) {
        life.dead = true
        throw new Dead('the process was killed')
      }
      return Reflect.get(target, name)
    },
  })
  return { ...ctx, db }
}

/** The end of a process. */
export class Dead extends Error {}

/** Does this in a process that may die. */
export async function untilDeath(action: () => Promise<unknown>): Promise<void> {
  await action().catch((error: unknown) => assert.ok(error instanceof Dead, String(error)))
}
