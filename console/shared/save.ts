/** Gives the browser a file to keep. */
export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // What was given is read at once; a moment later nobody needs it.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
