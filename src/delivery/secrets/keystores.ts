import { createPrivateKey, hash, hkdfSync } from 'node:crypto'
import { inStoreTurn } from '../../authorities/trust/bundle.ts'
import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { Context } from '../../core/context.ts'
import { must } from '../../shared/must.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { readPem } from '../../x509/der/pem.ts'
import { passwordFault, toPkcs12, toTrustStore } from '../../x509/stores/write.ts'
import type { Pair } from '../renderer.ts'
import type { Keystores } from './schema.ts'

/** Where a password that was made here lies. */
const passwordKey = 'keystore.password'

/** What stores are made of. */
export type KeystoreParts = {
  readonly tenantId: string
  /** The name of the entry. */
  readonly alias: string
  readonly pair: Pair
  /** PEM: what to trust. */
  readonly trust: string
}

/** The PKCS#12 stores of a Secret by their keys, with the password where that was made here. They follow from what
 *  is in them and from the password, to the octet, so that a Secret is seen to be as it should: what else is random in
 *  a store is derived from the private key. Throws busy. */
export async function keystoresOf(
  ctx: Context,
  { tenantId, alias, pair, trust }: KeystoreParts,
  { password, isOwn }: Password,
): Promise<Readonly<Record<string, Buffer>>> {
  const privateKey = createPrivateKey(pair.key)
  const secret = Buffer.concat([
    privateKey.export({ type: 'pkcs8', format: 'der' }),
    Buffer.from(password, 'utf8'),
  ])
  const random = (what: string) => {
    const about = hash('sha256', [what, alias, pair.chain, trust].join('\n'), 'buffer')
    return Buffer.from(hkdfSync('sha256', secret, '', about, 80))
  }
  const [leaf, ...chain] = readPem(pair.chain, 'CERTIFICATE')
  const certificate = must(leaf, 'a certificate that is delivered is there')
  const certificates = readPem(trust, 'CERTIFICATE').map((der) => ({
    der,
    friendlyName: `${alias}-${fingerprintSha256(der).slice(0, 8)}`,
  }))
  const keystore = await inStoreTurn(ctx, tenantId, () =>
    toPkcs12({
      ...{ privateKey, certificate, chain, password },
      friendlyName: alias,
      random: random('keystore'),
    }),
  )
  const truststore = await inStoreTurn(ctx, tenantId, () =>
    toTrustStore({ certificates, password, random: random('truststore') }),
  )
  return {
    'keystore.p12': keystore,
    'truststore.p12': truststore,
    ...(isOwn ? { [passwordKey]: Buffer.from(password, 'utf8') } : {}),
  }
}

/** The password of stores; `isOwn`: it was made here. */
export type Password = { readonly password: string; readonly isOwn: boolean }

/** The password that is asked for: what the tenant's Secret says, or the one that is beside the stores already, or a
 *  new one. Answers why there is none, in a sentence. Throws KubeError. */
export async function passwordOf(
  ctx: Context,
  kube: Kube,
  {
    keystores: { pkcs12 },
    namespace,
    found,
  }: {
    readonly keystores: Keystores
    readonly namespace: string
    /** The Secret as it stands. */
    readonly found: KubeObject | undefined
  },
): Promise<Password | { readonly fault: string }> {
  const ref = pkcs12.passwordSecretRef
  if (!ref) {
    const before = textOf(found, passwordKey)
    // What somebody else has put there is not what closes a key of ours.
    const isGood = before !== undefined && /^[A-Za-z0-9_-]{32}$/.test(before)
    return { password: isGood ? before : ctx.random(24).toString('base64url'), isOwn: true }
  }
  const where = `Secret ${namespace}/${ref.name}`
  const held = await kube.get({ ...kinds.secret, namespace, name: ref.name })
  if (!held)
    return { fault: `There is no ${where}, which is to have the password of its keystores` }
  const password = textOf(held, ref.key)
  if (password === undefined) {
    return { fault: `${where} has no key "${ref.key}", the password of its keystores` }
  }
  const fault = passwordFault(password)
  return fault === undefined
    ? { password, isOwn: false }
    : {
        fault: `The password of its keystores cannot be used (${where}, key "${ref.key}"): ${fault}`,
      }
}

function textOf(secret: KubeObject | undefined, key: string): string | undefined {
  const found = secret?.data?.[key]
  return found === undefined ? undefined : Buffer.from(found, 'base64').toString('utf8')
}
