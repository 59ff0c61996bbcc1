import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { delimiter, join } from 'node:path'
import { extension } from '../../src/x509/certificates/extensions.ts'
import { oids } from '../../src/x509/der/oids.ts'
import { encodeAltNames, noAltNames } from '../../src/x509/names/altnames.ts'
import { leafFor, openElsewhere } from '../certificates/uploads/elsewhere.ts'
import { freePorts, openFolder, until, watched } from './process.ts'

const folders = [process.env.GATESMITH_TEST_ACME_CLIENTS ?? '', process.env.PATH ?? '']
const places = folders.join(delimiter).split(delimiter).filter(Boolean)
const found = (program: string) =>
  places.map((place) => join(place, program)).find((each) => existsSync(each))

/** Let's Encrypt's CA for tests, and the name server that belongs to it; undefined: they are not installed. */
export const pebble = (() => {
  const [ca, names] = ['pebble', 'pebble-challtestsrv'].map(found)
  return ca === undefined || names === undefined ? undefined : { ca, names }
})()

/** The name server of Pebble, in which all names lead to this machine but those that `lead` has lead to another; `set`
 *  puts the TXT records of a name there. */
export async function openPebbleNames() {
  const [dnsPort = 0, port = 0] = await freePorts(2)
  const none = ['http01', 'https01', 'doh', 'tlsalpn01'].flatMap((each) => [`-${each}`, ''])
  const own = ['-dnsserver', `127.0.0.1:${dnsPort}`, '-management', `127.0.0.1:${port}`]
  watched(spawn(pebble?.names ?? '', [...none, ...own, '-defaultIPv6', '']))
  const tell = async (what: string, body: object) => {
    const sent = { method: 'POST', body: JSON.stringify(body) }
    const answer = await fetch(`http://127.0.0.1:${port}/${what}`, sent).catch(() => undefined)
    return answer?.ok || undefined
  }
  await until('the name server of Pebble answers', () => tell('clear-txt', { host: 'x.' }))
  return {
    address: `127.0.0.1:${dnsPort}`,
    lead: (name: string, address: string) =>
      tell('add-a', { host: `${name}.`, addresses: [address] }),
    set: async (name: string, values: readonly string[]) => {
      await tell('clear-txt', { host: `${name}.` })
      for (const value of values) await tell('set-txt', { host: `${name}.`, value })
    },
  }
}

type Asked = {
  /** host:port of the name server that it asks. */
  readonly dns: string
  /** Where it looks for http-01. */
  readonly httpPort: number
  /** Settings of its environment. */
  readonly settings?: Readonly<Record<string, string>>
  /** Members of its configuration. */
  readonly more?: object
}

/** Pebble in its strict mode, which looks at challenges really and refuses a third of all nonces. */
export async function openPebble({ dns, httpPort, settings = {}, more = {} }: Asked) {
  const folder = await openFolder()
  const [port = 0, management = 0] = await freePorts(2)
  const { root, between } = await openElsewhere('Server')
  const altNames = encodeAltNames({ ...noAltNames, ipAddresses: ['127.0.0.1'] })
  const server = await leafFor(between, [], {
    extensions: [extension(oids.subjectAltName, false, altNames)],
  })
  const at = (name: string) => join(folder, name)
  await writeFile(at('cert.pem'), server.pem + between.pem)
  await writeFile(at('key.pem'), server.key)
  const profile = (description: string, days: number) => ({
    description,
    validityPeriod: days * 86_400,
  })
  const config = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    ...{ certificate: at('cert.pem'), privateKey: at('key.pem') },
    ...{ httpPort, tlsPort: 1, ocspResponderURL: '', keyAlgorithm: 'ecdsa' },
    // No name that it is asked for may have fewer labels than one of these: it would stumble over it.
    domainBlocklist: ['blocked.test'],
    retryAfter: { authz: 1, order: 1 },
    profiles: { default: profile('Three months', 90), shortlived: profile('Six days', 6) },
    ...more,
  }
  await writeFile(at('config.json'), JSON.stringify({ pebble: config }))
  const running = watched(
    spawn(pebble?.ca ?? '', ['-strict', '-config', at('config.json'), '-dnsserver', dns], {
      env: {
        ...{ PEBBLE_VA_ALWAYS_VALID: '0', PEBBLE_VA_SLEEPTIME: '1', PEBBLE_WFE_NONCEREJECT: '33' },
        ...settings,
      },
    }),
  )
  const asked = (path: string, body?: object) =>
    ask(`https://127.0.0.1:${management}${path}`, root.pem, body)
  await until('Pebble answers', async () => {
    assert.equal(running.child.exitCode, null, running.said.out + running.said.err)
    return (await asked('/roots/0').catch(() => undefined)) && true
  })
  return {
    ...{ running, serverRoot: root.pem, directory: `https://127.0.0.1:${port}/dir` },
    /** The root at the end of its chain of this number, in PEM. */
    rootAt: (chain: number) => asked(`/roots/${chain}`),
    /** What it knows of a certificate. */
    statusOf: async (serial: string): Promise<{ Status: string; Reason?: number }> =>
      JSON.parse(await asked(`/cert-status-by-serial/${serial.replace(/^0+/, '')}`)),
    /** Has it answer this whenever it is asked about the renewal of a certificate. */
    setRenewal: (certificate: string, window: { readonly start: Date; readonly end: Date }) =>
      asked('/set-renewal-info/', {
        certificate,
        ariResponse: JSON.stringify({ suggestedWindow: window }),
      }),
  }
}

function ask(url: string, ca: string, body?: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'user-agent': 'gatesmith-test' }
    const how = { ca, headers, agent: false as const, method: body ? 'POST' : 'GET' }
    const asked = request(url, how, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(text)
        else reject(new Error(`${url}: ${answer.statusCode} ${text}`))
      })
    })
    asked.on('error', reject)
    asked.end(body && JSON.stringify(body))
  })
}
