import assert from 'node:assert/strict'
import { familySummary, guestBridgeSummary, hostNeedsWords, hotSwitch } from '../../src/domain/nic-mode-words.ts'
import { findNicMode, parseNicMode } from '../../src/domain/nic-modes.ts'
import { shippedModes } from './specs.ts'

describe('What a NIC mode carries, in words', () => {
  const words = (name: string) => {
    const mode = findNicMode(shippedModes, name)
    return [
      hostNeedsWords(mode),
      familySummary(mode, 'ipv4'),
      familySummary(mode, 'ipv6'),
      guestBridgeSummary(mode),
      hotSwitch(mode),
    ]
  }
  const elsewhere = 'detach and attach'
  const cases: readonly (readonly [mode: string, ...words: readonly string[]])[] = [
    [
      'bridge',
      ...['bridge with the uplink', 'works', 'works', 'works'],
      'in place from another bridge, else detach and attach',
    ],
    [
      'macvtap',
      ...['uplink in no bridge', 'nic, forward: works; ipip6: outbound only', 'outbound only', 'lost', elsewhere],
    ],
    ['macvtap-trust', ...['uplink in no bridge', 'works', 'works', 'lost', elsewhere]],
    [
      'macvtap-passthrough',
      ...['uplink of its own', 'nic, forward: works; ipip6: outbound only', 'outbound only'],
      ...['IPv4 works; IPv6 outbound only', elsewhere],
    ],
    ['ovs', ...['Open vSwitch bridge', 'not measured', 'not measured', 'not measured', elsewhere]],
    ['user', ...['nothing', 'not measured', 'not measured', 'not measured', elsewhere]],
  ]
  for (const [mode, ...expected] of cases) {
    it(`is short for ${mode}, and keeps what differs apart`, () => {
      assert.deepEqual(words(mode), expected)
    })
  }

  it('is “not measured” for a mode of one’s own that says nothing of itself', () => {
    const own = parseNicMode('<interface type="vdpa"><source dev="/dev/vhost-vdpa-0"/></interface>', '/n/own.xml')
    assert.deepEqual(
      [familySummary(own, 'ipv6'), guestBridgeSummary(own), hostNeedsWords(own)],
      ['not measured', 'not measured', 'what type vdpa needs'],
    )
  })

  it('comes with the price in security for every shipped mode', () => {
    for (const mode of shippedModes.modes.values()) assert.ok((mode.security ?? '').length > 20, mode.name)
  })
})
