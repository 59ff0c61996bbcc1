import { parentPort, workerData } from 'node:worker_threads'
import Value from 'typebox/value'
import { X509Error } from '../../x509/der/errors.ts'
import { openKeyBlock } from '../../x509/stores/keytext.ts'
import { openPkcs12 } from '../../x509/stores/read.ts'
import { type Opened, Sealed } from './message.ts'

// A thread of its own: what strangers wrote, and what takes seconds to open, is opened here, and nothing else.

parentPort?.postMessage(opened(Value.Parse(Sealed, workerData)))

function opened(sealed: Sealed): Opened {
  try {
    return contentsOf(sealed)
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    return { refused: error.message }
  }
}

function contentsOf(sealed: Sealed): Opened {
  if ('block' in sealed) {
    const { label, der } = openKeyBlock(sealed.block, sealed.passphrase)
    return { certificates: [], keys: [{ label, der: der.toString('base64') }] }
  }
  const { certificates, keys } = openPkcs12(Buffer.from(sealed.store, 'base64'), sealed.passphrase)
  return {
    certificates: certificates.map((der) => der.toString('base64')),
    keys: keys.map((der) => ({ label: 'PRIVATE KEY', der: der.toString('base64') })),
  }
}
