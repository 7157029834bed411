import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseConfigBoot } from '../../../src/os/vyos/config-boot.ts'
import { planMergeFile } from '../../../src/os/vyos/merge-file.ts'
import type { VyosCommand, VyosPath } from '../../../src/os/vyos/path.ts'

const set = (line: string): VyosCommand => ({ kind: 'set', path: line.split(' ') })
const remove = (line: string): VyosCommand => ({ kind: 'delete', path: line.split(' ') })
const addresses = (count: number) =>
  Array.from({ length: count }, (_, index) => set(`interfaces ethernet eth0 address 10.0.${index}.1/24`))
const sorted = (paths: readonly VyosPath[]) => paths.map((path) => path.join('\0')).toSorted()

/** As a guest's configuration has it: words that VyOS can hold, everywhere a name or a value stands. */
const word = fc.oneof(
  fc.constantFrom(
    'eth0',
    'br0',
    '10',
    '2001:db8::1/64',
    '192.168.1.1',
    'a b',
    'x{',
    '}',
    '//',
    '/*',
    '#',
    '$HOME',
    '*',
  ),
  fc.stringMatching(/^[^\u0000-\u001f\u007f-\u009f'"\\`]{1,30}$/u),
)
const path = fc
  .oneof(
    fc.tuple(
      fc.constantFrom('ethernet', 'bridge', 'tunnel'),
      word,
      fc.constantFrom('address', 'mtu', 'description'),
      word,
    ),
    fc.tuple(fc.constant('ethernet'), word, fc.constant('vif'), word, fc.constantFrom('address', 'disable'), word),
    fc.tuple(fc.constant('bridge'), word, fc.constant('member'), fc.constant('interface'), word),
    fc.tuple(fc.constant('ethernet'), word, fc.constant('offload'), fc.constantFrom('gro', 'gso')),
  )
  .map((words): VyosPath => ['interfaces', ...words])

describe('file for VyOS’s merge', () => {
  it('holds exactly the paths of the commands that it stands for, whatever their words', () => {
    let files = 0
    fc.assert(
      fc.property(
        fc.uniqueArray(path, { minLength: 12, maxLength: 40, selector: (words) => words.join('\0') }),
        (paths) => {
          const file = planMergeFile(
            [],
            paths.map((words) => ({ kind: 'set', path: words })),
          )
          if (file === undefined) return
          files += 1
          const merged = file.merged.map((index) => paths[index] ?? [])
          // An empty `vif 10` is no path of its own beside `vif 10 address …`.
          const leaves = merged.filter(
            (one) => !merged.some((other) => other !== one && one.every((w, i) => w === other[i])),
          )
          assert.deepEqual(sorted(parseConfigBoot(file.text)), sorted(leaves))
        },
      ),
      { numRuns: 2000 },
    )
    assert.ok(files > 100, `${files} files`)
  })

  it('is not made for few commands, which cost less one by one', () => {
    assert.equal(planMergeFile([], addresses(5)), undefined)
    assert.deepEqual(planMergeFile([], addresses(6))?.merged, [0, 1, 2, 3, 4, 5])
  })

  it('leaves out what a merge would not do: replace a value, set what ran before, or wait for a deletion', () => {
    const before = [
      ['interfaces', 'ethernet', 'eth0', 'mtu', '1500'],
      ['interfaces', 'ethernet', 'eth0', 'address', '10.0.2.1/24'],
    ]
    const commands = [
      set('system host-name early'),
      remove('interfaces ethernet eth0 vif 9'),
      set('interfaces ethernet eth0 mtu 1400'),
      ...addresses(8),
      set('firewall ipv6 name X default-action drop'),
      set('system host-name r1'),
      set('interfaces tunnel tun0 mtu 1400'),
    ]
    const file = planMergeFile(before, commands)
    const left = commands.filter((_, index) => !file?.merged.includes(index)).map((command) => command.path.join(' '))
    assert.equal(file?.first, 2)
    assert.deepEqual(left, [
      'system host-name early',
      'interfaces ethernet eth0 vif 9',
      'interfaces ethernet eth0 mtu 1400',
      'interfaces ethernet eth0 address 10.0.2.1/24',
      'firewall ipv6 name X default-action drop',
    ])
  })
})
