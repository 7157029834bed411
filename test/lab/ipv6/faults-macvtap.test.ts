import assert from 'node:assert/strict'
import { diagnose } from '../../../src/ipv6/diagnosis.ts'
import { proveByCure } from '../../../src/ipv6/prove.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { itNames } from './named-faults.ts'
import { onMacvtap, onTrustedMacvtap } from './produced-faults.ts'

const { signal } = new AbortController()

describe('diagnosis of a VM on untrusted macvtaps', function () {
  this.timeout(90_000)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('macvtap', 'vmrd')
  })
  after(() => lab?.remove())

  itNames(() => lab, onMacvtap)

  it('proves the filter by opening it: broken, healed, broken again', async () => {
    const proof = await lab.withEvidence({ family: 'ipv6', direction: 'pc2>r1' }, async (observed, journal) => {
      const named = diagnose(observed.evidence).named.find(({ fault }) => fault.id === 'macvtap-multicast-filter')
      assert.ok(named)
      return proveByCure(named, { ...observed, journal, signal })
    })
    assert.deepEqual([proof?.broken, proof?.healed, proof?.brokenAgain], [true, true, true])
    assert.ok((proof?.seconds ?? 99) < 15)
  })
})

describe('diagnosis of a VM on trusted macvtaps', function () {
  this.timeout(90_000)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('macvtap-trust', 'vmrd')
    await lab.settled()
  })
  after(() => lab?.remove())

  itNames(() => lab, onTrustedMacvtap)
})
