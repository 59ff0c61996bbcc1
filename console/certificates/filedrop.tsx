import { type DragEvent, useId, useState } from 'react'
import { foundIn, mostOctets, type Sent, withFound } from './sent.ts'

/** Files with certificates, keys or a store, chosen or dragged here: what each is, is seen by what is in it. */
export function FileDrop({
  sent,
  onChange,
}: {
  readonly sent: Sent
  readonly onChange: (sent: Sent) => void
}) {
  const id = useId()
  const [over, setOver] = useState(false)
  const [said, setSaid] = useState('')
  const [wrong, setWrong] = useState<string>()
  const take = async (files: readonly File[]) => {
    if (files.length === 0) return
    const large = files.find(({ size }) => size > mostOctets)
    setWrong(large && `${large.name} is larger than a certificate with its chain can be`)
    if (large) return
    const octets = await Promise.all(
      files.map(async (file) => new Uint8Array(await file.arrayBuffer())),
    )
    onChange(octets.map(foundIn).reduce(withFound, sent))
    setSaid(`Read: ${files.map(({ name }) => name).join(', ')}`)
  }
  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    void take([...event.dataTransfer.files])
  }
  return (
    <fieldset
      className={over ? 'drop drop-over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <legend className="unseen">Files</legend>
      <label htmlFor={id}>Files: PEM, DER or PKCS#12 (.pem, .crt, .key, .p12, .pfx)</label>
      <input
        id={id}
        type="file"
        multiple
        aria-describedby={`${id}-said`}
        onChange={(event) => {
          void take([...(event.target.files ?? [])])
          // The same file once more is a change again.
          event.target.value = ''
        }}
      />
      <p id={`${id}-said`} className={wrong ? 'wrong' : 'hint'} role="status">
        {wrong ??
          (said === '' ? 'Choose them, drag them here, or paste what is in them below' : said)}
      </p>
    </fieldset>
  )
}
