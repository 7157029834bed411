import assert from 'node:assert/strict'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { itNames } from './named-faults.ts'
import { makeNeighbourVm } from './neighbour-vm.ts'
import { onOneNic, setModes } from './produced-faults.ts'

describe('diagnosis of two VMs on macvtaps of one NIC', function () {
  this.timeout(90_000)
  let lab: DiagnosedVm
  let removeNeighbour: (() => Promise<void>) | undefined
  before(async () => {
    lab = await makeDiagnosedVm('macvtap-vepa-trust', 'vmrd')
    removeNeighbour = await makeNeighbourVm(lab.vm, {
      name: 'r2',
      mode: 'macvtap-vepa-trust',
      addresses: ['192.168.1.9/24', '2001:db8:dead:beaf::9/64'],
    })
    await lab.settled()
  })
  after(async () => {
    await removeNeighbour?.()
    await lab?.remove()
  })

  itNames(() => lab, onOneNic)

  it('finds nothing wrong where both are in mode bridge', async () => {
    await setModes(lab, 'bridge')
    try {
      const { diagnosis, evidence } = await lab.diagnose({ peer: 'r2' })
      const lost = diagnosis.broken.map(({ path, line }) => [path.id, line])
      assert.equal(diagnosis.verdict, 'healthy', JSON.stringify(lost))
      for (const direction of ['r1>r2', 'r2>r1', 'pc1>r1'])
        assert.ok(evidence.paths.some((path) => path.direction === direction))
    } finally {
      await setModes(lab, 'vepa')
    }
  })
})
