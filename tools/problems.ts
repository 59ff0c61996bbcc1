import { problemBase, problems } from '../src/shared/problem.ts'

/** docs/problems.md, out of the closed table. */
export function problemsPage(): string {
  const rows = Object.entries(problems).map(
    ([type, { status, title }]) => `| \`${type}\` | ${status} | ${title} |`,
  )
  return `# Problems

Every refusal is a problem document (RFC 9457), \`application/problem+json\`: \`type\` is
\`${problemBase}<name>\` and never changes, \`detail\` is about this occurrence and says what to do,
\`violations\` lists every broken rule with the field it is about (JSON Pointer), \`instance\` is the
id under which the request was logged. Branch on \`type\`, never on a sentence.

| type | status | title |
|---|---|---|
${rows.join('\n')}
`
}
