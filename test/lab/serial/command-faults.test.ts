import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { VyosChange } from '../../../src/os/vyos/plan.ts'
import { changeConfiguration, readConfiguration } from '../../../src/os/vyos/transaction.ts'
import type { SerialShell } from '../../../src/shell/serial/serial-shell.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { isClear, type LibvirtGuest, startLibvirtGuest } from './libvirt-guest.ts'

const set = (line: string): VyosChange => ({ kind: 'set', path: line.split(' '), single: false, objects: [3] })
const changes = [
  set('interfaces ethernet eth0 vif 10 address 10.10.10.1/24'),
  set('interfaces ethernet eth1 address 10.20.0.1/24'),
]

describe('commands on the console stream of a lab router', function () {
  this.timeout(120_000)
  let guest: LibvirtGuest
  let shell: SerialShell
  let open: Awaited<ReturnType<LibvirtGuest['login']>>

  const login = async () => {
    open = await guest.login()
    shell = open.shell
  }
  const active = async () => (await readConfiguration(shell)).map((path) => path.join(' ')).toSorted()
  const latency = (milliseconds: number) =>
    shell.run(['sudo', 'tee', '/run/lab-router/latency_ms'], { stdin: `${milliseconds}\n` })
  const failure = async (promise: Promise<unknown>) => {
    const error: unknown = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    assert.ok(isClear(error), String(error))
    return error
  }
  /** Without what a test set, whatever became of it. */
  const reset = async (before: readonly string[]) => {
    const left = (await active()).filter((line) => !before.includes(line))
    if (left.length === 0) return
    await changeConfiguration(
      shell,
      await readConfiguration(shell),
      [
        { ...set('interfaces ethernet eth0 vif 10'), kind: 'delete' as const },
        { ...set('interfaces ethernet eth1 address 10.20.0.1/24'), kind: 'delete' as const },
      ].filter(({ path }) => left.some((line) => line.startsWith(path.join(' ')))),
    )
    assert.deepEqual(await active(), before)
  }

  /** The script of a change goes on without a console. This shell's own words are in the list of processes too. */
  const scriptsEnded = async () => {
    const count = ['sh', '-c', "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'vbas[h] /tmp/vmr'"]
    while ((await shell.run(count)).stdout !== '0\n') await delay(50)
  }

  before(async () => {
    guest = await startLibvirtGuest()
    await login()
  })
  after(() => guest?.remove())

  it('brings 1 MB of output and 100 kB of random bytes over, unchanged', async () => {
    const { stdout } = await shell.run(['sh', '-c', 'yes 0123456789 | head -c 1000000'], { timeoutMs: 60_000 })
    assert.equal(stdout, '0123456789\n'.repeat(90_910).slice(0, 1_000_000))
    const random =
      'head -c 100000 /dev/urandom | tee /tmp/random | base64 -w0; echo; cat /tmp/random >/tmp/out; cat /tmp/out'
    const { stdout: both } = await shell.run(['sh', '-c', random], { timeoutMs: 60_000 })
    const [encoded = ''] = both.split('\n', 1)
    assert.equal(both.slice(encoded.length + 1), Buffer.from(encoded, 'base64').toString('utf8'))
  })

  it('takes no prompt, frame or login screen in the output for its own', async () => {
    const text = [
      ...['vyos@vyos:~$ ', '', 'vyos login: ', '[edit]\r\r', 'vyos@vyos# ', 'Password: ', 'Login incorrect', '> ', ':'],
      ...['vmr-0123456789abcdef01 end 1 0 0 0 x y', 'Display all 161 possibilities? (y or n)', 'vyos@vyos:~$ '],
    ].join('\n')
    assert.equal((await shell.run(['cat'], { stdin: text })).stdout, text)
    assert.equal(
      (await shell.run(['sh', '-c', `sleep 1; printf 'vyos@vyos:~$ '; sleep 2; echo end`])).stdout,
      'vyos@vyos:~$ end\n',
    )
  })

  it('configures among kernel messages and other processes’ garbage on the same line', async () => {
    const before = await active()
    const noise = await shell.start([
      ...['sudo', 'sh', '-c'],
      'dmesg -n 8; while true; do echo "<0>noise" >/dev/kmsg; head -c 40 /dev/urandom >/dev/ttyS0; sleep 0.2; done',
    ])
    await changeConfiguration(shell, await readConfiguration(shell), changes)
    await noise.stop()
    await shell.run(['sudo', 'dmesg', '-n', '3'])
    assert.deepEqual(await active(), [...before, ...changes.map(({ path }) => path.join(' '))].toSorted())
    await reset(before)
  })

  it('leaves the old or the new configuration when the console is lost at any moment of a change', async () => {
    const before = await active()
    const wanted = [...before, ...changes.map(({ path }) => path.join(' '))].toSorted()
    const seen = new Set<string>()
    // Before anything runs in the guest, at the beginning of the script, and in its commit, which comes after four
    // other commands.
    for (const [sign, afterwardsMs] of [
      [/./, 0],
      [/ vbash /, 0],
      [/ vbash /, 4.5 * 300],
    ] as const) {
      const running = await readConfiguration(shell)
      await latency(300)
      const begun = new Promise<void>((resolve) => {
        open.session.console.onLine((line) => {
          if (sign.test(line)) resolve()
        })
      })
      const failed = failure(changeConfiguration(shell, running, changes))
      await begun
      await delay(afterwardsMs)
      await open.cut()
      const error = await failed
      assert.equal(error.code, 'GUEST_CONSOLE_LOST')
      assert.match(
        error.message,
        /serial console of vmrt-console-\w+ ended[\s\S]*all of the change is active, or none of it/,
      )
      assert.match(error.hint ?? '', /All that was typed and shown is in \S+\.ndjson/)
      await login()
      await scriptsEnded()
      await latency(0)
      const after = await active()
      assert.ok(
        [before, wanted].some((state) => JSON.stringify(state) === JSON.stringify(after)),
        after.join('\n'),
      )
      seen.add(JSON.stringify(after) === JSON.stringify(before) ? 'old' : 'new')
      await reset(before)
    }
    assert.deepEqual([...seen].toSorted(), ['new', 'old'])
  })

  it('sets 40 nodes of a guest that takes 2 s for a command in less than 20 s', async () => {
    const before = await readConfiguration(shell)
    const addresses = Array.from({ length: 40 }, (_, index) =>
      set(`interfaces ethernet eth1 address 10.40.${index}.1/24`),
    )
    await latency(2000)
    const begun = performance.now()
    await changeConfiguration(shell, before, addresses).finally(() => latency(0))
    const tookMs = performance.now() - begun
    const ofEth1 = JSON.parse(await runChecked(shell, ['ip', '-json', 'address', 'show', 'dev', 'eth1']))
    const there = new Set(ofEth1[0].addr_info.map(({ local }: { local: string }) => local))
    assert.deepEqual(
      addresses.filter(({ path }) => !there.has(path.at(-1)?.split('/')[0])),
      [],
    )
    assert.ok(tookMs < 20_000, `${tookMs} ms`)
    const back = addresses.map((change) => ({ ...change, kind: 'delete' as const }))
    await changeConfiguration(shell, await readConfiguration(shell), back)
    assert.deepEqual(await active(), before.map((path) => path.join(' ')).toSorted())
  })

  it('takes back what a commit that failed in the middle made active, and says so in VyOS’s words', async () => {
    const before = await active()
    const error = await failure(
      changeConfiguration(shell, await readConfiguration(shell), [
        ...changes,
        set('interfaces tunnel tun1 encapsulation ipip6'),
      ]),
    )
    assert.equal(error.code, 'GUEST_CONFIG_REFUSED')
    assert.match(error.message, /source-address or source-interface required for tunnel!/)
    assert.match(error.message, /The configuration is as it was before\.$/)
    assert.deepEqual(await active(), before)
  })

  it('leaves nothing of a commit that failed in the middle behind when the console is lost during it', async () => {
    const before = await active()
    const running = await readConfiguration(shell)
    await latency(300)
    const begun = new Promise<void>((resolve) => {
      open.session.console.onLine((line) => {
        if (/ vbash /.test(line)) resolve()
      })
    })
    const failing = [...changes, set('interfaces tunnel tun1 encapsulation ipip6')]
    const failed = failure(changeConfiguration(shell, running, failing))
    await begun
    await open.cut()
    assert.equal((await failed).code, 'GUEST_CONSOLE_LOST')
    await login()
    await scriptsEnded()
    await latency(0)
    assert.deepEqual(await active(), before)
  })

  it('changes nothing of a second operator’s, waits for his commit, and commits nothing of his', async () => {
    const before = await active()
    const script = [
      'source /opt/vyatta/etc/functions/script-template',
      'configure',
      'set interfaces ethernet eth1 description second',
      'touch /tmp/pending',
      'while [ ! -e /tmp/go ]; do sleep 0.1; done',
      'commit',
      'exit',
      '',
    ]
    await shell.writeFile('/tmp/second', script.join('\n'))
    const second = await shell.start(['vbash', '/tmp/second'])
    await shell.run(['sh', '-c', 'until [ -e /tmp/pending ]; do sleep 0.1; done'])
    await changeConfiguration(shell, await readConfiguration(shell), changes.slice(0, 1))
    assert.ok(!(await active()).some((line) => line.includes('second')))
    // Now his commit is under way while this one wants to begin.
    await latency(500)
    await shell.run(['touch', '/tmp/go'])
    await changeConfiguration(shell, await readConfiguration(shell), changes.slice(1))
    await second.ended
    await latency(0)
    const after = await active()
    assert.ok(after.includes('interfaces ethernet eth1 description second'))
    for (const { path } of changes) assert.ok(after.includes(path.join(' ')))
    const description = { ...set('interfaces ethernet eth1 description'), kind: 'delete' as const }
    await changeConfiguration(shell, await readConfiguration(shell), [description])
    await reset(before)
  })

  it('keeps what was saved before when the disk is full, and says that nothing was saved', async () => {
    const before = await active()
    const size =
      'mkdir -p /tmp/kept && cp /config/config.boot /tmp/kept && mount -t tmpfs -o size=8k,mode=775,gid=102 tmpfs /config'
    await shell.run([
      'sudo',
      'sh',
      '-c',
      `${size} && cp /tmp/kept/config.boot /config && chgrp 102 /config/config.boot && chmod 660 /config/config.boot`,
    ])
    const saved = (await shell.run(['cat', '/config/config.boot'])).stdout
    assert.match(saved, /vyos-config-version/)
    await shell.run(['sudo', 'sh', '-c', 'head -c 4096 /dev/zero >/config/full'])
    // More than the block of 4 kB that the file has.
    const long = Array.from({ length: 16 }, (_, index): VyosChange => {
      const vlan = ['interfaces', 'ethernet', 'eth1', 'vif', `${100 + index}`]
      return { kind: 'set', path: [...vlan, 'description', 'x'.repeat(250)], single: true, objects: [3, 5] }
    })
    const running = await readConfiguration(shell)
    const error = await failure(changeConfiguration(shell, running, long, { save: true }))
    assert.equal(error.code, 'GUEST_CONFIG_REFUSED')
    assert.match(error.message, /committed the configuration but could not save it:[\s\S]*No space left on device/)
    assert.match(error.message, /What was saved before is untouched\.$/)
    assert.equal((await shell.run(['cat', '/config/config.boot'])).stdout, saved)
    assert.ok((await active()).some((line) => line.startsWith('interfaces ethernet eth1 vif 115 description')))
    await shell.run(['sudo', 'umount', '/config'])
    await changeConfiguration(shell, await readConfiguration(shell), [
      { ...set('interfaces ethernet eth1 vif'), kind: 'delete' },
    ])
    assert.deepEqual(await active(), before)
  })
})
