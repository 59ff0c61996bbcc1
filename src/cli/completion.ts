import type { Command } from 'commander'
import { CommandError } from './io.ts'
import { nouns } from './nouns.ts'

/** A script that makes a shell complete commands, options and nouns. Throws for a shell that is not known. */
export function completion(program: Command, shell: string): string {
  const words = wordsOf(program)
  const script = { bash, zsh, fish }[shell]
  if (script === undefined) throw new CommandError('Completion is for bash, zsh and fish')
  return script(words)
}

/** What may follow each command: its subcommands or nouns, and its options. */
type Words = ReadonlyMap<string, readonly string[]>

function wordsOf(program: Command): Words {
  const takesNouns = ['get', 'describe', 'delete']
  const all = new Map([['', program.commands.map((each) => each.name())]])
  const visit = (command: Command, path: string) => {
    const options = command.options.flatMap(({ long, short }) => [long, short].filter(isGiven))
    const inner = command.commands.map((each) => each.name())
    const named = takesNouns.includes(path) ? nouns.map(({ name }) => name) : []
    all.set(path, [...inner, ...named, ...options, '--help'])
    for (const each of command.commands) visit(each, `${path} ${each.name()}`)
  }
  for (const each of program.commands) visit(each, each.name())
  return all
}

const isGiven = (word: string | null | undefined): word is string => typeof word === 'string'

const cases = (words: Words) =>
  [...words].map(([path, all]) => `    '${path}') words='${all.join(' ')}' ;;`).join('\n')

function bash(words: Words): string {
  return `_gatesmith() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' word words='' i
  for ((i = 1; i < COMP_CWORD && i < 3; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) break ;; esac
    case "$path" in '') path="$word" ;; audit|context) path="$path $word" ;; esac
  done
  case "$path" in
${cases(words)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
    -o|--output) COMPREPLY=($(compgen -W 'table wide json yaml name' -- "$current")) ;;
    -f|--filename|--token-file|--ca-file|--csr|--out) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}
complete -F _gatesmith gatesmith
`
}

/** zsh takes bash's. */
function zsh(words: Words): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`
}

function fish(words: Words): string {
  const lines = [...words].map(([path, all]) => {
    const seen =
      path === ''
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ')
    return `complete -c gatesmith -f -n '${seen}' -a '${all.join(' ')}'`
  })
  return `${lines.join('\n')}\ncomplete -c gatesmith -s f -l filename -r -F\n`
}
