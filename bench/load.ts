import { Agent, request } from 'node:http'

// A load generator of its own process: node bench/load.ts <json>. Prints one JSON line.

/** What to send, how many at a time, for how long. */
export type Load = {
  readonly urls: readonly string[]
  readonly token: string
  readonly body: object
  readonly connections: number
  readonly seconds: number
}

/** What came of it; latencies in milliseconds. */
export type Outcome = {
  readonly answered: number
  readonly failed: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

async function generate(load: Load): Promise<Outcome> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.connections })
  const body = JSON.stringify(load.body)
  const latencies: number[] = []
  let failed = 0
  const begun = performance.now()
  const end = begun + load.seconds * 1000
  const lane = async (index: number) => {
    const url = load.urls[index % load.urls.length] ?? ''
    while (performance.now() < end) {
      const sent = performance.now()
      const status = await post(url, { agent, token: load.token, body })
      if (status === 201 || status === 200) latencies.push(performance.now() - sent)
      else failed++
    }
  }
  await Promise.all(Array.from({ length: load.connections }, (_, index) => lane(index)))
  const elapsed = (performance.now() - begun) / 1000
  latencies.sort((a, b) => a - b)
  const at = (share: number) =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 10) / 10
  return {
    answered: latencies.length,
    failed,
    perSecond: Math.round(latencies.length / elapsed),
    p50: at(0.5),
    p99: at(0.99),
  }
}

function post(
  url: string,
  { agent, token, body }: { agent: Agent; token: string; body: string },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

if (process.argv[1]?.endsWith('load.ts')) {
  const load: Load = JSON.parse(process.argv[2] ?? '{}')
  process.stdout.write(`${JSON.stringify(await generate(load))}\n`)
}
