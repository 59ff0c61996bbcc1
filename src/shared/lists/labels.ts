import Type from 'typebox'
import { refuse } from '../problem.ts'
import { nullable } from '../schema.ts'
import { shownJson } from '../view.ts'

const key = '([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?'
const value = '([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?'

/** Keys and values as Kubernetes has them for labels: a key may have a prefix that is a DNS name. */
export const Labels = Type.Record(
  Type.String({ pattern: `^${key}$` }),
  Type.String({ pattern: `^${value}$`, maxLength: 63 }),
  {
    title: 'Labels',
    additionalProperties: false,
    maxProperties: 32,
    description:
      'Names and values by which things are found (?label=), as Kubernetes has them: letters, digits, - _ and . in between, at most 63; a name may have a DNS name and / in front',
  },
)
export type Labels = Type.Static<typeof Labels>

const plain = '^[^\\u0000-\\u001f\\u007f-\\u009f]+$'
/** Whose a thing is. */
export const Owner = Type.String({
  maxLength: 200,
  pattern: plain,
  description: 'Whose it is: a team',
})
const Contact = Type.String({
  maxLength: 320,
  pattern: plain,
  description: 'Where they are reached: an address, a channel',
})

/** What people say of a thing, as it is asked for; null takes it away. */
export const askedMarks = {
  labels: Type.Optional(Labels),
  owner: Type.Optional(nullable(Owner)),
  contact: Type.Optional(nullable(Contact)),
} as const

/** The same as it is shown. */
export const shownMarks = {
  labels: Labels,
  owner: nullable(Owner),
  contact: nullable(Contact),
} as const

/** What people say of a thing. */
export type Marks = {
  readonly labels: Labels
  readonly owner: string | null
  readonly contact: string | null
}

/** What is asked for, where what is left out is none. */
export function askedMarksOf({
  labels = {},
  owner = null,
  contact = null,
}: {
  readonly labels?: Labels | undefined
  readonly owner?: string | null | undefined
  readonly contact?: string | null | undefined
}): Marks {
  return { labels, owner, contact }
}

/** What a row holds of it, whichever release stored it. */
export function marksOf(row: {
  readonly labels: unknown
  readonly owner: string | null
  readonly contact: string | null
}): Marks {
  return { labels: shownJson(Labels, row.labels), owner: row.owner, contact: row.contact }
}

const term = new RegExp(`^${key}(=${value})?$`)
const mostTerms = 8

/** The filter that lists have in common. */
export const LabelFilter = Type.String({
  minLength: 1,
  maxLength: 2048,
  description:
    'By labels: key=value, or key alone where any value will do; several, separated by commas, must all hold',
})

/** What a filter by labels asks for, as the column `labelTerms` has it: `key` and `key=value`. Throws
 *  request-invalid. */
export function labelTerms(filter: string): readonly string[] {
  const terms = filter.split(',').map((each) => each.trim())
  const wrong = terms.find((each) => !term.test(each))
  const shown = wrong !== undefined && wrong.length > 80 ? `${wrong.slice(0, 80)}…` : wrong
  const message =
    terms.length > mostTerms
      ? `At most ${mostTerms} labels are asked for at once`
      : `"${shown}" is neither key=value nor a key, as Kubernetes writes labels`
  refuse(
    'request-invalid',
    wrong !== undefined || terms.length > mostTerms ? [{ field: '/label', message }] : [],
  )
  return terms
}
