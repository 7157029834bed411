import assert from 'node:assert/strict'
import { build, type Metafile } from 'esbuild'
import { bundleOptions } from '../../scripts/bundle.ts'

/** Every source file that is loaded before a command is chosen: the entry and what it imports statically. */
function loadedAtStart(metafile: Metafile): readonly string[] {
  const entry = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === 'src/cli/main.ts')
  assert.ok(entry, 'the bundle has an entry')
  const seen = new Set<string>()
  const visit = (path: string) => {
    if (seen.has(path)) return
    seen.add(path)
    for (const imported of metafile.outputs[path]?.imports ?? []) {
      if (imported.kind === 'import-statement' && !imported.external) visit(imported.path)
    }
  }
  visit(entry[0])
  return [...seen].flatMap((path) => Object.keys(metafile.outputs[path]?.inputs ?? {}))
}

describe('vmr --help', () => {
  it('loads commander and the commands’ words, and no library that only a command needs', async () => {
    const { metafile } = await build({ ...bundleOptions, write: false, metafile: true })
    assert.ok(metafile)
    const packages = new Set(
      loadedAtStart(metafile).flatMap((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []),
    )
    assert.deepEqual([...packages].sort(), ['@commander-js/extra-typings', 'commander'])
  })
})
