import assert from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConsoleState } from '../../../src/shell/serial/login.ts'
import { consoleRecordDirectory } from '../../../src/vm/console-record.ts'
import { isClear, type LibvirtGuest, startLibvirtGuest } from './libvirt-guest.ts'

const loginPrompt = /vyos login: $/
const shellPrompt = /vyos@vyos:~\$ $/
const configurationPrompt = /\[edit\]\r\r\nvyos@vyos# $/

describe('login on the console stream of a lab router', function () {
  this.timeout(120_000)
  let guest: LibvirtGuest
  const states: ConsoleState[] = []

  before(async () => {
    guest = await startLibvirtGuest('vmr.load_ms=2000 vmr.config_error')
  })
  after(() => guest?.remove())

  const works = async () => {
    const { shell, close } = await guest.login()
    assert.equal((await shell.run(['echo', 'it works'])).stdout, 'it works\n')
    return close
  }

  it('waits for a getty that is held back, and hears that the boot configuration failed', async () => {
    const { session, close } = await guest.login({ onState: ({ state }) => states.push(state) })
    assert.equal(session.boot.configuration, 'failed')
    assert.match(session.boot.words.join('\n'), /etherned.*\nStarting VyOS router: migrate configure failed!$/s)
    assert.deepEqual(states.slice(-5), ['configuration loading', 'configuration failed', 'login', 'password', 'shell'])
    await close()
  })

  it('tells a wrong password, and names the file of what was typed and shown, in which it is not', async () => {
    const error: unknown = await guest.login({ password: 'wrong-password-of-r1' }).catch((reason: unknown) => reason)
    assert.ok(isClear(error))
    assert.equal(error.code, 'GUEST_LOGIN_FAILED')
    const path = /is in (\S+\.ndjson)$/.exec(error.hint ?? '')?.[1] ?? ''
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    const record = await readFile(path, 'utf8')
    assert.match(record, /Login incorrect/)
    assert.match(record, /"kind":"send","data":"\*{8}"/)
    assert.doesNotMatch(record, /wrong-password-of-r1/)
    await (await works())()
  })

  it('takes over a shell that somebody left logged in, with a line half typed', async () => {
    await guest.operator([['show interf', /interf$/]])
    const seen: ConsoleState[] = []
    const { shell, close } = await guest.login({ onState: ({ state }) => seen.push(state) })
    assert.deepEqual(seen, ['waiting', 'shell'])
    assert.equal((await shell.run(['echo', 'it works'])).stdout, 'it works\n')
    await close()
  })

  for (const [what, ...steps] of [
    ['the pager of VyOS', ['set terminal length 24\r', shellPrompt], ['show configuration\r', /\n:[^\n]*$/]],
    ['a pager with a file', ['less /usr/lib/lab-router/LabRouter/Units.pm\r', /Units\.pm[^\n]*$/]],
    ['an open here-document', ["cat <<'END'\r", /> $/]],
    ['a program that reads', ['cat\r', /cat\r\n$/]],
    [
      'configuration mode, two levels down',
      ['configure\r', configurationPrompt],
      ['edit interfaces ethernet eth0\r', /\[edit interfaces ethernet eth0\]\r\r\nvyos@vyos# $/],
    ],
  ] as readonly (readonly [string, ...(readonly (readonly [string, RegExp])[])])[]) {
    it(`gets out of ${what} that somebody left waiting`, async () => {
      await guest.operator(steps)
      await (await works())()
    })
  }

  it('is not confused by a prompt so long that the terminal breaks every echo', async () => {
    const hostName = `r1-${'x'.repeat(60)}`
    const rename = (name: string): (readonly [string, RegExp])[] => [
      ['configure\r', /# $/],
      [`set system host-name ${name}\r`, /\n\[edit\]\r\r\nvyos@[\w-]+# $/],
      ['commit\r', /commit\r\n\[edit\]\r\r\nvyos@[\w-]+# $/],
      ['exit\r', /\$ $/],
      ['exit\r', /login: $/],
    ]
    await guest.operator(rename(hostName))
    const { session, shell, close } = await guest.login()
    assert.equal(session.hostName, hostName)
    assert.equal((await shell.run(['hostname'])).stdout, `${hostName}\n`)
    await close()
    await guest.operator(rename('vyos'))
  })

  it('leaves an operator’s uncommitted changes alone, and says that they are in the way', async () => {
    await guest.operator([
      ['configure\r', configurationPrompt],
      ['set interfaces ethernet eth1 description mine\r', /mine\r\n\[edit\]\r\r\nvyos@vyos# $/],
    ])
    const error: unknown = await guest.login().catch((reason: unknown) => reason)
    assert.ok(isClear(error))
    assert.equal(error.code, 'GUEST_NOT_READY')
    assert.match(error.message, /configuration mode open .* not committed/)
    // The pager is on: every line is decorated.
    assert.match(await guest.operator([['compare\r', configurationPrompt]]), /\+ description "mine"/)
    await guest.operator([['exit discard\r', shellPrompt]])
    await (await works())()
  })

  it('logs in on a terminal full of binary garbage, and among kernel messages', async () => {
    const garbage = `head -c 20000 /dev/urandom; printf "\\033(0\\016"; echo done-''done\r`
    await guest.operator([[garbage, /done-done/]])
    const first = await guest.login()
    const noise = 'dmesg -n 8; while [ -e /tmp/noise ]; do echo "<0>noise" >/dev/kmsg; sleep 0.02; done; dmesg -n 3'
    await first.shell.run(['touch', '/tmp/noise'])
    await first.shell.run(['sh', '-c', `sudo setsid sh -c '${noise}' </dev/null >/dev/null 2>&1 &`])
    await first.close()
    const { shell, close } = await guest.login()
    assert.equal((await shell.run(['rm', '/tmp/noise'])).exitCode, 0)
    await close()
  })

  it('logs in when the guest restarts just as it is told the password', async () => {
    await guest.operator([['exit\r', loginPrompt]])
    let restarts = 1
    const seen: ConsoleState[] = []
    const { shell, close } = await guest.login({
      onState: ({ state }) => {
        seen.push(state)
        if (state !== 'password' || restarts === 0) return
        restarts -= 1
        void guest.connection.resetDomain(guest.domain)
      },
    })
    assert.equal((await shell.run(['cut', '-d.', '-f1', '/proc/uptime'])).stdout.length < 4, true)
    assert.ok(seen.lastIndexOf('login') > seen.indexOf('password'), seen.join())
    await close()
  })

  it('keeps a bounded number of records', async () => {
    assert.ok((await readdir(consoleRecordDirectory())).length <= 20)
    assert.equal((await stat(join(consoleRecordDirectory()))).mode & 0o777, 0o700)
  })
})
