import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { parseElf } from '../../src/image/elf.ts'
import {
  describeModule,
  type KernelModule,
  moduleClosure,
  renderModulesAlias,
  renderModulesDep,
} from '../../src/image/kernel-modules.ts'

const module = (name: string, ...depends: readonly string[]): KernelModule => ({
  name,
  path: `kernel/${name}.ko`,
  depends,
  aliases: name === 'vlan' ? ['rtnl-link-vlan'] : [],
})
const all = [
  module('vlan', 'mrp', 'garp'),
  module('garp', 'stp'),
  module('mrp'),
  module('stp', 'llc'),
  module('llc'),
  module('other'),
]
const find = (name: string) => all.find((each) => each.name === name)

describe('kernel modules of the image', () => {
  it('come with all they need, each after what it needs', () => {
    assert.deepEqual(
      moduleClosure(['vlan', 'built_in'], find).map((each) => each.name),
      ['mrp', 'llc', 'stp', 'garp', 'vlan'],
    )
  })

  it('are listed as depmod lists them', () => {
    const modules = moduleClosure(['vlan'], find)
    assert.match(
      renderModulesDep(modules),
      /^kernel\/vlan\.ko: kernel\/garp\.ko kernel\/stp\.ko kernel\/llc\.ko kernel\/mrp\.ko$/m,
    )
    assert.equal(renderModulesAlias(modules), 'alias rtnl-link-vlan vlan\n')
  })

  it('are refused if the file is none', () => {
    assert.throws(() => describeModule('kernel/x.ko', Buffer.from('text')), RangeError)
  })
})

describe('ELF files', () => {
  it('name the libraries and the loader that a program asks for', async () => {
    const elf = parseElf(await readFile(process.execPath))
    assert.ok(elf?.needed.includes('libc.so.6'))
    assert.equal(elf?.interpreter, '/lib64/ld-linux-x86-64.so.2')
  })

  it('that are damaged end in an error, never in a hang or a crash', async () => {
    const intact = await readFile('/bin/true')
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4000), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
        const damaged = Buffer.from(intact)
        for (const [at, byte] of changes) damaged[at] = byte
        try {
          parseElf(damaged)
        } catch (error) {
          assert.ok(error instanceof RangeError, `${error}`)
        }
      }),
      { numRuns: 300 },
    )
  })
})
