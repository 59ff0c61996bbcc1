import {
  type ColumnDef,
  columnFilteringFeature,
  createFilteredRowModel,
  createSortedRowModel,
  filterFn_includesString,
  globalFilteringFeature,
  rowSortingFeature,
  sortFn_alphanumeric,
  type Row as TableRow,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useId, useMemo, useRef, useState } from 'react'
import { counted, several } from '../shared/when.ts'
import { Icon } from './icons.tsx'

/** A column: what its cells are sorted and found by, and how they are shown. */
export type Column<Row> = {
  readonly id: string
  readonly header: string
  readonly value: (row: Row) => string | number
  readonly cell?: (row: Row) => ReactNode
  readonly align?: 'end'
}

type Props<Row> = {
  /** What the table is of, for who cannot see it. */
  readonly caption: string
  /** What a row is: "host". */
  readonly noun: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  readonly idOf: (row: Row) => string
  readonly sortedBy?: { readonly id: string; readonly desc?: boolean }
  /** Shown in place of a table without rows. */
  readonly empty: ReactNode
  /** Filters beside the search. */
  readonly filters?: ReactNode
  /** Of a list that was not fetched whole. */
  readonly incomplete?: boolean
  readonly search?: boolean
}

const features = tableFeatures({
  rowSortingFeature,
  columnFilteringFeature,
  globalFilteringFeature,
  sortedRowModel: createSortedRowModel(),
  filteredRowModel: createFilteredRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric },
  filterFns: { includesString: filterFn_includesString },
})

/** Up to so many rows are all there; of more, those that are seen. */
const fewRows = 60
const rowHeight = 44

/** A table that is sorted by its heads and searched by what its cells say. */
export function DataTable<Row extends object>(props: Props<Row>) {
  const { caption, noun, rows, columns, idOf, empty, filters, search = true } = props
  const { sortedBy = { id: columns[0]?.id ?? '' }, incomplete = false } = props
  const [sorting, setSorting] = useState([{ id: sortedBy.id, desc: sortedBy.desc === true }])
  const [words, setWords] = useState('')
  const definitions = useMemo(
    () =>
      columns.map(
        ({ id, value }): ColumnDef<typeof features, Row> => ({
          id,
          accessorFn: value,
          sortFn: 'alphanumeric',
          sortDescFirst: false,
        }),
      ),
    [columns],
  )
  const data = useMemo(() => [...rows], [rows])
  const table = useTable({
    features,
    columns: definitions,
    data,
    state: { sorting, globalFilter: words },
    onSortingChange: setSorting,
    onGlobalFilterChange: setWords,
    globalFilterFn: 'includesString',
    getColumnCanGlobalFilter: () => true,
    getRowId: idOf,
    enableSortingRemoval: false,
  })
  const shown = table.getRowModel().rows
  const field = useId()
  const [sort] = sorting
  const found = `${counted(shown.length, noun)}${shown.length === rows.length ? '' : ` of ${rows.length.toLocaleString('en-GB')}`}`
  return (
    <section className="listing">
      {(rows.length > 0 && search) || filters ? (
        <div className="toolbar">
          {search ? (
            <div className="search">
              <Icon name="search" />
              <label htmlFor={field} className="unseen">{`Search ${caption.toLowerCase()}`}</label>
              <input
                id={field}
                type="search"
                placeholder={`Search ${several(noun)}`}
                value={words}
                onChange={(event) => setWords(event.target.value)}
              />
            </div>
          ) : null}
          {filters}
          <output className="found">
            {found}
            {incomplete ? ' — there are more: narrow them by the filters' : ''}
          </output>
        </div>
      ) : null}
      {rows.length === 0 ? (
        empty
      ) : (
        <Grid
          {...{ caption, columns, shown }}
          sort={sort}
          onSort={(id) => setSorting([{ id, desc: sort?.id === id && !sort.desc }])}
        />
      )}
    </section>
  )
}

type GridProps<Row extends object> = {
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly shown: readonly TableRow<typeof features, Row>[]
  readonly sort: { readonly id: string; readonly desc: boolean } | undefined
  readonly onSort: (id: string) => void
}

/** On a phone's width rows are shown as cards, which takes from a table what it is for who cannot see it: hence
 *  the roles. */
function Grid<Row extends object>({ caption, columns, shown, sort, onSort }: GridProps<Row>) {
  const scroller = useRef<HTMLDivElement>(null)
  const many = shown.length > fewRows
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    enabled: many,
  })
  const seen = many ? virtual.getVirtualItems().flatMap(({ index }) => shown[index] ?? []) : shown
  const [first] = virtual.getVirtualItems()
  const last = virtual.getVirtualItems().at(-1)
  const before = many ? (first?.start ?? 0) : 0
  const after = many ? virtual.getTotalSize() - (last?.end ?? 0) : 0
  const offset = many ? (first?.index ?? 0) : 0
  return (
    <div
      className={many ? 'scroller scroller-tall' : 'scroller'}
      ref={scroller}
      tabIndex={0}
      role="region"
      aria-label={caption}
    >
      <table className="cards" role="table" aria-rowcount={shown.length + 1} aria-label={caption}>
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            {columns.map((column) => (
              <th
                key={column.id}
                role="columnheader"
                scope="col"
                className={column.align && `align-${column.align}`}
                aria-sort={
                  sort?.id === column.id ? (sort.desc ? 'descending' : 'ascending') : 'none'
                }
              >
                <button type="button" className="head" onClick={() => onSort(column.id)}>
                  {column.header}
                  {sort?.id === column.id ? <Icon name={sort.desc ? 'down' : 'up'} /> : null}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          <Spacer height={before} columns={columns.length} />
          {seen.map((row, at) => (
            <tr
              key={row.id}
              role="row"
              aria-rowindex={offset + at + 2}
              data-index={offset + at}
              ref={many ? virtual.measureElement : undefined}
            >
              {columns.map((column) => (
                <td
                  key={column.id}
                  role="cell"
                  data-label={column.header}
                  className={column.align && `align-${column.align}`}
                >
                  <div className="value">
                    {column.cell ? column.cell(row.original) : column.value(row.original)}
                  </div>
                </td>
              ))}
            </tr>
          ))}
          <Spacer height={after} columns={columns.length} />
        </tbody>
      </table>
      {shown.length === 0 ? <p className="nothing">Nothing here is called that.</p> : null}
    </div>
  )
}

/** In place of the rows that are not seen. */
function Spacer({ height, columns }: { readonly height: number; readonly columns: number }) {
  if (height <= 0) return null
  return (
    <tr aria-hidden="true" className="spacer">
      <td colSpan={columns} style={{ height }} />
    </tr>
  )
}
