import { useState } from 'react'

/** A text to be copied. */
export function Sample({ name, text }: { readonly name: string; readonly text: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <figure className="sample-box">
      <figcaption>
        {name}
        <button
          type="button"
          className="button button-plain"
          onClick={async () => {
            await navigator.clipboard.writeText(text)
            setCopied(true)
          }}
        >
          {copied ? 'Copied' : 'Copy'}
          <span className="unseen"> {name}</span>
        </button>
      </figcaption>
      <pre className="sample" tabIndex={0}>
        {text}
      </pre>
    </figure>
  )
}
