import assert from 'node:assert/strict'
import { test } from 'node:test'
import { folded, hidesCharacters, hostSpelling } from '../../src/shared/spelling.ts'

test('texts that look alike are compared as one', () => {
  const rows = [
    ['Example  Inc. ', 'example inc.'],
    ['ＥＸＡＭＰＬＥ Inc.', 'example inc.'],
    ['ex\u200bam\u00adple\u2060 inc.\ufeff', 'example inc.'],
    ['\u202eexample inc.', 'example inc.'],
    ['ﬁne', 'fine'],
    ['BÜCHER', 'bücher'],
    ['bu\u0308cher', 'bücher'],
  ] as const
  for (const [text, expected] of rows) assert.equal(folded(text), expected, text)
})

test('characters that nobody sees are seen', () => {
  for (const text of ['a\u200bb', 'a\u00ad', '\ufeffa', 'a\u202eb', '\u{e0041}', 'a\ufe0f']) {
    assert.equal(hidesCharacters(text), true, JSON.stringify(text))
  }
  for (const text of ['', 'Example Inc.', 'Bücher & Söhne', '株式会社', 'Ａ']) {
    assert.equal(hidesCharacters(text), false, text)
  }
})

test('a host name has one spelling', () => {
  const rows = [
    ['WWW.Example.com.', 'www.example.com'],
    ['ｅxample．com', 'example.com'],
    ['ex\u200bample.com', 'example.com'],
    ['example。com', 'example.com'],
    ['*.Bücher.example', '*.xn--bcher-kva.example'],
    // The joiners of Persian are part of a name.
    ['نامه\u200cای.example', 'xn--mgba3gch31f060k.example'],
    ['0x7f.1', '0x7f.1'],
  ] as const
  for (const [text, expected] of rows) assert.equal(hostSpelling(text), expected, text)
})
