/** The name of the product, with its gate. */
export function Mark() {
  return (
    <span className="mark">
      <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="8" />
        <path d="M8 25V15a8 8 0 0 1 16 0v10M13 25V15a3 3 0 0 1 6 0v10" />
      </svg>
      Gatesmith
    </span>
  )
}
