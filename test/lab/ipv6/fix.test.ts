import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../../src/config/package-root.ts'
import { faults } from '../../../src/ipv6/faults/index.ts'
import { applyFix } from '../../../src/ipv6/fix.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'

const cli = join(packageRoot(), 'dist', 'cli.js')

interface Applied {
  readonly what: string
  readonly kept: { readonly in?: string; readonly not?: string }
  readonly reached: readonly string[]
  readonly stillBroken: readonly string[]
}

interface Named {
  readonly id: string
  readonly proof?: { readonly broken: boolean; readonly healed: boolean; readonly brokenAgain: boolean }
}

interface Printed {
  readonly status: number
  readonly named: readonly string[]
  /** Broken, healed, broken again. */
  readonly proofs: readonly (readonly boolean[])[]
  readonly applied: readonly Applied[]
}

/** `vmr diagnose r1 --json` with more words, as a person would run it. */
async function diagnose({ vm }: DiagnosedVm, ...words: readonly string[]): Promise<Printed> {
  await vm.closeConsole()
  try {
    const args = [cli, 'diagnose', 'r1', '--testbed', vm.testbedFile, '--json', ...words]
    return await new Promise((resolve, reject) => {
      execFile(process.execPath, args, { maxBuffer: 50_000_000 }, (error, stdout, stderr) => {
        const { named, applied } = JSON.parse(stdout) as { named?: Named[]; applied?: Applied[] }
        if (named === undefined || applied === undefined) return reject(new Error(`${stdout}${stderr}`))
        const proofs = named.flatMap(({ proof }) =>
          proof === undefined ? [] : [[proof.broken, proof.healed, proof.brokenAgain]],
        )
        const ids = [...new Set(named.map(({ id }) => id))]
        resolve({ status: Number(error?.code ?? 0), named: ids, proofs, applied })
      })
    })
  } finally {
    await vm.reopen()
  }
}

describe('vmr diagnose --fix', function () {
  this.timeout(180_000)
  let lab: DiagnosedVm
  afterEach(() => lab?.remove())

  it('trusts the filters of macvtaps, running and defined, and shows that everything is reached', async () => {
    lab = await makeDiagnosedVm('macvtap', 'vmrx')
    const broken = await diagnose(lab, '--family', 'ipv6', '--fix', '--yes')
    assert.deepEqual(broken.named, ['macvtap-multicast-filter'])
    assert.equal(broken.applied.length, 2)
    for (const { kept, reached, stillBroken } of broken.applied) {
      assert.deepEqual(kept, { in: 'the definition of r1' })
      assert.ok(reached.length > 0)
      assert.deepEqual(stillBroken, [])
    }
    for (const flag of ['', '--inactive'])
      assert.equal((await lab.host(`virsh dumpxml ${flag} r1`)).match(/trustGuestRxFilters=.yes./g)?.length, 2)
    assert.equal((await diagnose(lab, '--family', 'ipv6')).status, 0)
  })

  it('says what keeps a setting of the guest, and proves it by its cure', async () => {
    lab = await makeDiagnosedVm('bridge', 'vmrx')
    await lab.guest('sysctl -qw net.ipv4.icmp_echo_ignore_all=1')
    const words = ['--family', 'ipv4', '--direction', 'pc1>r1']
    const { named, proofs, applied } = await diagnose(lab, ...words, '--prove', '--fix', '--yes')
    assert.deepEqual(named, ['echo-ignored'])
    assert.deepEqual(proofs, [[true, true, true]])
    assert.equal(applied.length, 1)
    assert.match(applied[0]?.kept.not ?? '', /restart of r1: set it in the guest’s configuration/)
    assert.deepEqual(applied[0]?.stillBroken, [])
    assert.equal((await lab.guest('sysctl -n net.ipv4.icmp_echo_ignore_all')).trim(), '0')
    // Nothing is left of the proof that would take the fix back.
    assert.equal(await lab.guest('pgrep -x sleep || true'), '')
  })

  it('keeps a setting of the host beside what is kept there already', async () => {
    lab = await makeDiagnosedVm('bridge', 'vmrx')
    // One of this test's own: the machine's is left alone.
    await lab.host("mount -t tmpfs tmpfs /etc/sysctl.d; echo 'kernel.pid_max = 32768' >/etc/sysctl.d/90-vmr.conf")
    await lab.host('sysctl -qw net.ipv4.icmp_echo_ignore_all=1')
    try {
      const key = 'net/ipv4/icmp_echo_ignore_all'
      const change = { kind: 'sysctl', machine: 'host', key, before: '1', value: '0' } as const
      const fix = { what: 'let it answer', price: 'none', commands: [], change }
      const fault = faults.find(({ id }) => id === 'echo-ignored') ?? assert.fail()
      const applied = await lab.withEvidence({ family: 'ipv4', direction: 'pc1>r1' }, ({ evidence, machines }) => {
        const { connection, testbed } = lab.vm
        const { signal } = new AbortController()
        const named = { fault, hop: 'host', facts: [], fixes: [fix], paths: [] }
        return applyFix(named, fix, { connection, machines, evidence, testbed, signal })
      })
      assert.deepEqual(applied.kept, { in: '/etc/sysctl.d/90-vmr.conf' })
      assert.equal(await lab.host('cat /etc/sysctl.d/90-vmr.conf'), `kernel.pid_max = 32768\n${key} = 0\n`)
      assert.equal((await lab.host('sysctl -n net.ipv4.icmp_echo_ignore_all')).trim(), '0')
    } finally {
      await lab.host('umount /etc/sysctl.d; sysctl -qw net.ipv4.icmp_echo_ignore_all=0')
    }
  })
})
