import assert from 'node:assert/strict'
import { findNicMode } from '../../../src/domain/nic-modes.ts'
import { diagnose } from '../../../src/ipv6/diagnosis.ts'
import { proveByCure } from '../../../src/ipv6/prove.ts'
import { type InterfaceKeeper, interfaceKeeper } from '../../../src/os/vyos/keep-interface.ts'
import { waitUntilUsable } from '../../../src/os/wait-until-usable.ts'
import { prepareSwitch, switchRunning } from '../../../src/vm/switch/switch-vm.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { observedState } from './observed-state.ts'

/** Without it a lean selection runs, of one family. */
const isWhole = Number(process.env.VMR_TEST_REPEAT ?? 0) > 0
const selection = isWhole ? {} : { family: 'ipv6' as const }
const { signal } = new AbortController()
const macvtaps = ['macvtap', 'macvtap-vepa', 'macvtap-private', 'macvtap-passthrough']
const healthy = ['bridge', 'bridge-trust', ...macvtaps.map((mode) => `${mode}-trust`)]

describe('diagnosis of one VM in every interface mode', function () {
  this.timeout(120_000)
  let lab: DiagnosedVm
  let keeper: InterfaceKeeper
  before(async () => {
    lab = await makeDiagnosedVm('bridge')
    keeper = interfaceKeeper(lab.vm.guest)
  })
  after(() => lab?.remove())

  async function enter(mode: string) {
    const { connection, modes, testbed, guest, machine, find } = lab.vm
    const vm = await find()
    if (mode !== 'bridge') {
      const wanted = { modes, to: findNicMode(modes, mode), links: testbed.links }
      const plan = await prepareSwitch(connection, vm, wanted, { signal })
      await switchRunning(connection, vm, plan, { signal, guest, keeper })
    }
    for (const [index, { dut }] of testbed.links.entries())
      await waitUntilUsable(machine.os, guest, `eth${index}`, dut.addresses)
    await lab.settled()
  }
  const shown = (broken: ReturnType<typeof diagnose>['broken']) =>
    JSON.stringify(broken.map(({ path, line, causes }) => ({ path: path.id, line, causes })))

  for (const mode of healthy)
    it(`finds nothing wrong in ${mode}, and leaves every machine as it was`, async () => {
      await enter(mode)
      const before = await observedState(lab.vm)
      const { diagnosis } = await lab.diagnose(selection)
      assert.equal(diagnosis.verdict, 'healthy', shown(diagnosis.broken))
      assert.deepEqual(await observedState(lab.vm), before)
    })

  for (const mode of macvtaps.filter((each) => isWhole || each === 'macvtap-passthrough'))
    it(`names the multicast filter, and nothing else, at the macvtaps of ${mode}, and leaves every machine as it was`, async () => {
      await enter(mode)
      const before = await observedState(lab.vm)
      await lab.withEvidence({ family: 'ipv6' }, async (observed, journal) => {
        const { verdict, named, broken } = diagnose(observed.evidence)
        assert.equal(verdict, 'named', shown(broken))
        assert.deepEqual([...new Set(named.map(({ fault: { id } }) => id))], ['macvtap-multicast-filter'])
        for (const { hop } of named) assert.match(hop, /^host macvtap\d+$/)
        // What leaves the guest arrives, and so do its link-local address and what ends like its MAC.
        for (const { path } of broken) assert.match(path.direction, />r1$/)
        const [first] = named
        if (first === undefined) return
        const proof = await proveByCure(first, { ...observed, journal, signal })
        assert.equal(proof?.broken, true)
        assert.equal(proof?.healed, true)
      })
      assert.deepEqual(await observedState(lab.vm), before)
    })
})
