import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isListType,
  isObjectType,
  Kind,
  parse,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
} from 'graphql'
import { Problem } from '../../shared/problem.ts'

/** What one request may ask for, so that none takes the service from the others. Measured: graphql
 *  compares fields of a name and fragments in pairs, and answers some 500 fields a millisecond. What is told again and
 *  again may be `told` fields each time. */
export const limits = {
  tokens: 1000,
  fragments: 50,
  depth: 12,
  fields: 25_000,
  told: 2_500,
  roots: 50,
} as const

/** The document of a query that may be run. Throws request-too-large, and what parsing throws. */
export function affordable(
  query: string,
  { schema, variables }: Pick<Measuring, 'schema' | 'variables'>,
): DocumentNode {
  const document = parse(query, { maxTokens: limits.tokens })
  const tooLarge = (sentence: string) => new Problem('request-too-large', sentence)
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
  if (fragments.length > limits.fragments) {
    throw tooLarge(
      `This query has ${fragments.length} fragments, and at most ${limits.fragments} are read`,
    )
  }
  const { fields, depth, roots } = costOf(document, { schema, variables })
  if (roots > limits.roots) {
    throw tooLarge(
      `This query asks for ${roots} things at once, and at most ${limits.roots} are answered`,
    )
  }
  if (depth > limits.depth) {
    throw tooLarge(`This query goes ${depth} levels deep, and at most ${limits.depth} are answered`)
  }
  const follows = document.definitions.some(
    (each) => each.kind === Kind.OPERATION_DEFINITION && each.operation === 'subscription',
  )
  const most = follows ? limits.told : limits.fields
  if (fields <= most) return document
  throw tooLarge(
    `This query could be answered with ${fields} fields, and at most ${most} are: ask for smaller pages (first) or fewer relations`,
  )
}

/** What an operation could answer at most: `fields` in all, `depth` of them inside one another, `roots` of them side by
 *  side at its outside. */
export type Cost = { readonly fields: number; readonly depth: number; readonly roots: number }

type Measuring = {
  readonly schema: GraphQLSchema
  readonly variables: Readonly<Record<string, unknown>>
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
  readonly known: Map<string, Cost>
  /** How many there may be on the page whose fields are measured. */
  readonly page: number
}

/** What weighs as much as this many other fields: certificates in PEM, what is counted, and clusters and whole Envoys
 *  that are asked. */
const weights = new Map([
  ['inventory', 500],
  ['groups', 500],
  ['total', 100],
  ['hostPlan', 1000],
  ['hostProbe', 1000],
  ['expiries', 500],
  ['pem', 10],
  ['chainPem', 10],
  ['listeners', 500],
])

/** Whatever changes something weighs as much. */
const changeWeight = 1000

/** How long a list without pages is taken to be. */
const listed = 10

const nothing: Cost = { fields: 0, depth: 0, roots: 0 }

/** The cost of the dearest operation of a document that was parsed and not yet validated: each page
 *  counts as full, each alias for itself. What does not exist costs one; fragments are measured once,
 *  so that spreading them in one another takes no more time than writing them. */
export function costOf(
  document: DocumentNode,
  { schema, variables }: Pick<Measuring, 'schema' | 'variables'>,
): Cost {
  const fragments = new Map(
    document.definitions.flatMap((each) =>
      each.kind === Kind.FRAGMENT_DEFINITION ? [[each.name.value, each] as const] : [],
    ),
  )
  const measuring = { schema, variables, fragments, known: new Map<string, Cost>(), page: 1 }
  const costs = document.definitions.flatMap((each) =>
    each.kind === Kind.OPERATION_DEFINITION
      ? [selectionCost(each.selectionSet, schema.getRootType(each.operation), measuring)]
      : [],
  )
  return {
    fields: Math.max(0, ...costs.map(({ fields }) => fields)),
    depth: Math.max(0, ...costs.map(({ depth }) => depth)),
    roots: Math.max(0, ...costs.map(({ roots }) => roots)),
  }
}

function selectionCost(
  { selections }: SelectionSetNode,
  parent: GraphQLNamedType | null | undefined,
  measuring: Measuring,
): Cost {
  return selections.reduce((sum, selection) => {
    const cost =
      selection.kind === Kind.FIELD
        ? fieldCost(selection, parent, measuring)
        : selection.kind === Kind.FRAGMENT_SPREAD
          ? fragmentCost(selection.name.value, measuring)
          : selectionCost(
              selection.selectionSet,
              selection.typeCondition
                ? measuring.schema.getType(selection.typeCondition.name.value)
                : parent,
              measuring,
            )
    return {
      fields: sum.fields + cost.fields,
      depth: Math.max(sum.depth, cost.depth),
      roots: sum.roots + cost.roots,
    }
  }, nothing)
}

function fragmentCost(name: string, measuring: Measuring): Cost {
  const key = `${name} ${measuring.page}`
  const known = measuring.known.get(key)
  if (known) return known
  // A fragment inside itself finds this and ends; validation refuses it afterwards.
  measuring.known.set(key, nothing)
  const fragment = measuring.fragments.get(name)
  if (!fragment) return nothing
  const type = measuring.schema.getType(fragment.typeCondition.name.value)
  const cost = selectionCost(fragment.selectionSet, type, measuring)
  measuring.known.set(key, cost)
  return cost
}

function fieldCost(
  node: FieldNode,
  parent: GraphQLNamedType | null | undefined,
  measuring: Measuring,
): Cost {
  const name = node.name.value
  const definition = definitionOf(name, parent)
  const changes = definition !== undefined && parent === measuring.schema.getMutationType()
  const own = changes ? changeWeight : (weights.get(name) ?? 1)
  if (!definition || !node.selectionSet) return { fields: own, depth: 1, roots: 1 }
  const isPage = definition.args.some((arg) => arg.name === 'first')
  const inner = selectionCost(node.selectionSet, getNamedType(definition.type), {
    ...measuring,
    page: isPage ? first(node, measuring) : 1,
  })
  const fields = own + sizeOf(node, { definition, parent, measuring }) * inner.fields
  // The depth of introspection is bounded by graphql's own rules.
  return { fields, depth: name.startsWith('__') ? 1 : 1 + inner.depth, roots: 1 }
}

type Definition = GraphQLField<unknown, unknown>

function definitionOf(
  name: string,
  parent: GraphQLNamedType | null | undefined,
): Definition | undefined {
  if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef
  if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef
  return isObjectType(parent) ? parent.getFields()[name] : undefined
}

function sizeOf(
  node: FieldNode,
  {
    definition,
    parent,
    measuring,
  }: {
    definition: Definition
    parent: GraphQLNamedType | null | undefined
    measuring: Measuring
  },
): number {
  // About half of all types are made of another one, and half of those of a third.
  if (parent?.name.startsWith('__') && node.name.value === 'ofType') return 0.5
  if (!isListType(getNullableType(definition.type))) return 1
  if (parent?.name.startsWith('__')) return introspected(node.name.value, measuring.schema)
  const isOfPage = ['edges', 'items'].includes(node.name.value)
  return isOfPage && parent?.name.endsWith('Connection') ? measuring.page : listed
}

/** How long the lists of introspection are: the types of this schema, and what a type has on average. */
function introspected(list: string, schema: GraphQLSchema): number {
  if (list !== 'types' && list !== 'fields') return 1
  const types = Object.values(schema.getTypeMap())
  if (list === 'types') return types.length
  const fields = types.map((type) => (isObjectType(type) ? type.astNode?.fields?.length : 0) ?? 0)
  return fields.reduce((sum, each) => sum + each, 0) / types.length
}

/** The size of a page that is asked for; a size that is refused later counts as the largest. */
function first(node: FieldNode, { variables }: Measuring): number {
  const value = node.arguments?.find(({ name }) => name.value === 'first')?.value
  if (value === undefined || value.kind === Kind.NULL) return 50
  const size =
    value.kind === Kind.INT
      ? Number(value.value)
      : value.kind === Kind.VARIABLE
        ? variables[value.name.value]
        : undefined
  return typeof size === 'number' && size >= 1 && size <= 500 ? size : 500
}
