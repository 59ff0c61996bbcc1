import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  freePorts,
  kill,
  openFolder,
  type Running,
  startProcess,
  untilReady,
  untilSaid,
} from '../../support/process.ts'
import type { RealCluster } from '../../support/real.ts'
import type { Random } from './random.ts'

/** What is killed, and comes back. */
export type Victim = {
  readonly name: string
  /** kill -9. */
  readonly kill: () => Promise<void>
  /** Resolves when it does its work again. */
  readonly start: () => Promise<void>
}

/** A cluster of the chaos: how to reach it, and its API server where that can be killed. */
export type Cluster = {
  readonly name: string
  readonly kubeconfig: string
  /** Of who may list everything there. */
  readonly admin: string
  readonly ingress: object
  readonly victim: Victim | undefined
}

type Settings = Readonly<Record<string, string>>

/** A server or a worker that is started again after each kill. */
export async function openProcess(
  name: string,
  command: 'serve' | 'worker',
  settings: Settings,
): Promise<Victim> {
  let running: Running = startProcess([command], settings)
  const ready = async () => {
    if (command === 'serve') await untilReady(running, settings)
  }
  await ready()
  return {
    name,
    kill: () => kill(running),
    start: () => {
      running = startProcess([command], settings)
      return ready()
    },
  }
}

/** A sandbox cluster in a process of its own, at ports that stay. */
export async function openSandbox(name: string): Promise<Cluster> {
  const directory = await openFolder()
  const ports = (await freePorts(3)).map(String)
  const script = 'test/support/clusterprocess.ts'
  const begin = async () => {
    const running = startProcess([directory, ...ports], {}, script)
    await untilSaid(running, 'the cluster is running')
    return running
  }
  let running = await begin()
  const kubeconfig = await readFile(join(directory, 'kubeconfig'), 'utf8')
  return {
    name,
    kubeconfig,
    admin: kubeconfig,
    ingress: { address: `127.0.0.1:${ports[1]}` },
    victim: {
      name: `the API server and ingress of ${name}`,
      kill: () => kill(running),
      start: async () => {
        running = await begin()
      },
    },
  }
}

/** The cluster that the tests were told of; of the rig, the API server can be killed. */
export async function openReal(real: RealCluster): Promise<Cluster> {
  const kubeconfig = await readFile(real.kubeconfig, 'utf8')
  const { GATESMITH_RIG: rig } = process.env
  const ofRig = process.env.GATESMITH_TEST_RIG === '1' && rig !== undefined
  return {
    name: 'real',
    kubeconfig,
    admin: real.admin === undefined ? kubeconfig : await readFile(real.admin, 'utf8'),
    ingress: { address: real.ingress },
    victim: ofRig && real.admin !== undefined ? rigApiServer(rig, real.admin) : undefined,
  }
}

/** Its process group is in a file beside the administrator's kubeconfig; up.sh starts again what is not there. */
function rigApiServer(rig: string, admin: string): Victim {
  const pidFile = join(admin, '..', '..', 'pids', 'kube-apiserver')
  return {
    name: 'the API server of the rig',
    kill: async () => {
      process.kill(-Number(await readFile(pidFile, 'utf8')), 'SIGKILL')
      // It looks alive to up.sh until its parent has taken note, which is not ours to say.
      await rm(pidFile)
    },
    start: async () => {
      await promisify(execFile)(join(rig, 'up.sh'))
    },
  }
}

/** Kills one of them at random so many times; answers how often each was, once all are there again. */
export async function killAtRandom(
  victims: readonly Victim[],
  { random, times }: { random: Random; times: number },
): Promise<ReadonlyMap<string, number>> {
  const kills = new Map<string, number>()
  for (let n = 0; n < times && victims.length > 0; n++) {
    await delay(random.whole(200, 1500))
    const victim = random.one(victims)
    kills.set(victim.name, (kills.get(victim.name) ?? 0) + 1)
    await victim.kill()
    await delay(random.whole(0, 1000))
    await victim.start()
    if (times > 1) process.stdout.write(`${victim.name} was killed, ${n + 1} of ${times}\n`)
  }
  return kills
}
