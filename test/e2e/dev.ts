import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  developmentEntry,
  freePorts,
  type Running,
  startProcess,
  untilSaid,
} from '../support/process.ts'
import { type Http, httpOf } from './stage.ts'

/** The ports of `gatesmith dev`, in the order of its options. */
export type DevPorts = Readonly<Record<'api' | 'cluster' | 'tls' | 'plain', number>>

/** Four that are free. */
export async function devPorts(): Promise<DevPorts> {
  const [api = 0, cluster = 0, tls = 0, plain = 0] = await freePorts(4)
  return { api, cluster, tls, plain }
}

/** Starts development mode with its state in `state`. */
export function startDev(state: string, ports: DevPorts, more: readonly string[] = []): Running {
  const args = [
    ...['--state', state, '--port', String(ports.api)],
    ...['--cluster-port', String(ports.cluster), '--tls-port', String(ports.tls)],
    ...['--plain-port', String(ports.plain), ...more],
  ]
  return startProcess(args, {}, developmentEntry)
}

/** Waits until it has said that it is ready; answers a hand on its API. */
export async function untilUp(running: Running, state: string, ports: DevPorts): Promise<Http> {
  await untilSaid(running, 'Ctrl-C stops everything')
  return httpOf(`http://127.0.0.1:${ports.api}`, await tokenIn(state))
}

/** The admin's token, as dev keeps it. */
export async function tokenIn(state: string): Promise<string> {
  return (await readFile(join(state, 'token'), 'utf8')).trim()
}
