import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openFolder } from '../support/process.ts'
import { certificateCases } from './certificates.ts'
import { devPorts, startDev, untilUp } from './dev.ts'
import { refusalCases } from './refusals.ts'
import { routeCases } from './routes.ts'
import { runbookCases } from './runbook.ts'

// What `npm start` shows: the runbook's gateways, with nothing done by hand.

const folder = join(await openFolder(), 'state')
const ports = await devPorts()
const http = await untilUp(startDev(folder, ports), folder, ports)

const stage = {
  http,
  cluster: 'sandbox',
  address: '127.0.0.1',
  tlsPort: ports.tls,
  plainPort: ports.plain,
  folder,
  names: {
    simple: 'httpbin.example.com',
    hello: 'helloworld.example.com',
    mutual: 'mutual.example.com',
    through: 'passthrough.example.com',
    off: 'off.example.com',
  },
  patienceSeconds: 30,
}
runbookCases(stage)
routeCases(stage)
certificateCases(http)
refusalCases(stage, await readFile(join(folder, 'kubeconfig'), 'utf8'))
