import assert from 'node:assert/strict'
import { beginBoot } from '../../../src/shell/serial/boot-state.ts'
import { type ConsoleState, type OpenConsoleOptions, openConsoleSession } from '../../../src/shell/serial/login.ts'
import { createTranscript } from '../../../src/shell/serial/transcript.ts'
import { type FakeGuest, fakeGuest } from './fake-guest.ts'
import { answerTo, recording } from './recording.ts'

const bytes = (recorded: string) => Buffer.from(recorded, 'latin1')

/** The shell of a recorded guest, from its operational prompt on. */
function shellAnswers(text: string, guest: FakeGuest, prompt = 'vyos@vyos:~$ '): boolean {
  const line = text.replace('\x15', '').replace('\r', '')
  const echo = /^echo (\w+-)''(\w+)$/.exec(line)
  if (echo !== null) guest.says(`${line}\r\n${echo[1]}${echo[2]}\r\n${prompt}`)
  else if (line.startsWith('set terminal')) guest.says(bytes(answerTo(line)))
  else if (line === '') guest.says(`\r\n${prompt}`)
  else return false
  return true
}

interface Guest {
  readonly login: (text: string, guest: FakeGuest) => void
  /** Said before anything is typed. */
  readonly greets?: string
}

async function open(guest: Guest, options: Partial<OpenConsoleOptions> = {}) {
  const states: ConsoleState[] = []
  const fake = fakeGuest(guest.login)
  if (guest.greets !== undefined) fake.says(bytes(guest.greets))
  const session = await openConsoleSession(fake.stream, {
    description: 'serial console of r1',
    credentials: { user: 'vyos', password: 'secret-of-r1' },
    timeoutMs: 8000,
    onState: ({ state }) => states.push(state),
    ...options,
  })
  return { session, states, fake }
}

/** getty and login as recorded, with this password. */
function gettyThatWants(password: string) {
  let mode: 'name' | 'password' | 'shell' = 'name'
  return (text: string, guest: FakeGuest) => {
    if (mode === 'shell') {
      assert.ok(shellAnswers(text, guest) || text === 'exit\r', `the shell was sent ${JSON.stringify(text)}`)
      if (text === 'exit\r') guest.says('exit\r\nlogout\r\n')
    } else if (mode === 'name') {
      if (text.endsWith('vyos\r')) {
        mode = 'password'
        guest.says('vyos\r\r\nPassword: ')
      } else {
        guest.says('\r\r\nvyos login: ')
      }
    } else if (text === `${password}\r`) {
      mode = 'shell'
      guest.says(bytes(successAnswer))
    } else {
      mode = 'name'
      guest.says('\r\n\r\nLogin incorrect\r\nvyos login: ')
    }
  }
}

const successAnswer = recording
  .filter((event) => event.kind === 'recv')
  .reduce(
    (state, event) => {
      if (state.done) return state
      const text = state.text + event.data
      const start = text.indexOf('\r\nLinux vyos')
      const end = text.indexOf('vyos@vyos:~$ ', start)
      return start >= 0 && end >= 0
        ? { done: true, text: text.slice(start, end + 'vyos@vyos:~$ '.length) }
        : { done: false, text }
    },
    { done: false, text: '' },
  ).text

describe('console login', () => {
  it('logs in as on the recorded VyOS, pager off and terminal wide before anything else', async () => {
    assert.match(successAnswer, /Bug reports/)
    const { session, states, fake } = await open({
      greets: '\r\r\nWelcome to VyOS - vyos ttyS0\r\n\r\nvyos login: ',
      login: gettyThatWants('secret-of-r1'),
    })
    assert.equal(session.user, 'vyos')
    assert.equal(session.hostName, 'vyos')
    assert.deepEqual(states, ['waiting', 'login', 'password', 'shell'])
    assert.match(fake.typed(), /^vyos\rsecret-of-r1\rset terminal length 0\rset terminal width 500\recho /)
    assert.doesNotMatch(fake.typed(), /[?\t]/)
    await session.close()
    assert.match(fake.typed(), /exit\r$/)
  })

  it('tells the phases of a boot while it waits for the login prompt', async () => {
    const { states, session } = await open({
      greets:
        'SeaBIOS (version 1.16.2)\r\nBooting from Hard Disk...\r\n[    0.000000] Linux version 6.1.0\r\n[    1.000000] x\r\nStarting VyOS router: migrate configure failed!\r\n\r\nvyos login: ',
      login: gettyThatWants('secret-of-r1'),
    })
    assert.deepEqual(states, ['waiting', 'loader', 'kernel', 'configuration failed', 'login', 'password', 'shell'])
    assert.equal(session.boot.configuration, 'failed')
    assert.deepEqual(session.boot.words, ['Starting VyOS router: migrate configure failed!'])
  })

  it('finds the login prompt again behind a kernel message', async () => {
    const { session } = await open({
      greets: 'vyos login: [   12.345678] random: crng init done\r\n',
      login: gettyThatWants('secret-of-r1'),
    })
    assert.equal(session.hostName, 'vyos')
  })

  it('gives a wrong password two tries and says whose it was, without showing it', async () => {
    await assert.rejects(
      open({ greets: 'vyos login: ', login: gettyThatWants('another') }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'GUEST_LOGIN_FAILED')
        assert.match(error.message, /refused the password of user vyos/)
        assert.doesNotMatch(error.message, /secret-of-r1/)
        return true
      },
    )
  })

  it('offers the name again when getty threw its first characters away, and keeps the password to itself until then', async () => {
    const real = gettyThatWants('secret-of-r1')
    let garbled = 0
    const { fake } = await open({
      greets: 'vyos login: ',
      login: (text, guest) => {
        if (garbled === 0 && text === 'vyos\r') {
          garbled = 1
          guest.says('os\r\r\nPassword: ')
        } else if (garbled === 1) {
          garbled = 2
          assert.equal(text, '\r')
          guest.says('\r\nLogin incorrect\r\nvyos login: ')
        } else {
          real(text, guest)
        }
      },
    })
    assert.equal(fake.typed().split('secret-of-r1').length, 2)
  })

  it('offers the name again when getty threw all of it away', async () => {
    const real = gettyThatWants('secret-of-r1')
    let first = true
    const { session } = await open({
      greets: 'vyos login: ',
      login: (text, guest) => {
        if (first) first = false
        else real(text, guest)
      },
    })
    assert.equal(session.user, 'vyos')
  })

  it('types nothing secret at a password prompt that somebody else left', async () => {
    const real = gettyThatWants('secret-of-r1')
    let left = true
    const { fake } = await open({
      greets: 'Password: ',
      login: (text, guest) => {
        if (left) {
          left = false
          guest.says('\r\nLogin incorrect\r\nvyos login: ')
        } else {
          real(text, guest)
        }
      },
    })
    assert.ok(fake.typed().startsWith('\r'))
  })

  it('takes over a shell that is logged in, and leaves it logged in', async () => {
    const { session, states, fake } = await open({ login: (text, guest) => void shellAnswers(text, guest) })
    assert.deepEqual(states, ['waiting', 'shell'])
    await session.close()
    assert.doesNotMatch(fake.typed(), /exit/)
  })

  for (const [what, greets, wanted] of [
    ['a pager', 'line\r\n:', 'q'],
    ['a question about completions', 'Display all 161 possibilities? (y or n)', 'n'],
    ['an open quote', '> ', '\x03'],
  ] as const) {
    it(`gets out of ${what} that waits`, async () => {
      let left = true
      const { fake } = await open({
        greets,
        login: (text, guest) => {
          if (left) {
            left = false
            guest.says('\r\nvyos@vyos:~$ ')
          } else {
            shellAnswers(text, guest)
          }
        },
      })
      assert.ok(fake.typed().startsWith(wanted))
    })
  }

  it('leaves configuration mode that has nothing pending, from a lower level too', async () => {
    let level = 2
    const { states } = await open({
      greets: '[edit interfaces]\r\r\nvyos@vyos# ',
      login: (text, guest) => {
        if (level > 0) {
          assert.equal(text, 'exit\r')
          level -= 1
          guest.says(level === 1 ? 'exit\r\n[edit]\r\r\nvyos@vyos# ' : 'exit\r\nexit\r\nvyos@vyos:~$ ')
        } else {
          shellAnswers(text, guest)
        }
      },
    })
    assert.deepEqual(states, ['waiting', 'configure', 'shell'])
  })

  it('never discards changes that somebody left in configuration mode', async () => {
    const typed: string[] = []
    await assert.rejects(
      open({
        greets: '[edit]\r\r\nvyos@vyos# ',
        login: (text, guest) => {
          typed.push(text)
          guest.says(
            "exit\r\nCannot exit: configuration modified.\r\nUse 'exit discard' to discard the changes and exit.\r\n[edit]\r\r\nvyos@vyos# ",
          )
        },
      }),
      { code: 'GUEST_NOT_READY' },
    )
    assert.deepEqual(typed, ['exit\r'])
  })

  it('logs in after the guest restarted in the middle of the login', async () => {
    const real = gettyThatWants('secret-of-r1')
    let restarted = false
    const { states } = await open({
      greets: 'vyos login: ',
      login: (text, guest) => {
        if (restarted) return real(text, guest)
        restarted = true
        guest.says('vyos\r\r\n[    0.000000] Linux version 6.1.0\r\n\r\nvyos login: ')
      },
    })
    assert.deepEqual(states, ['waiting', 'login', 'kernel', 'login', 'password', 'shell'])
  })

  it('tells a boot that hangs from a login that does', async () => {
    await assert.rejects(
      open({ greets: '[    0.100000] ..MP-BIOS bug: 8254 timer\r\n', login: () => {} }, { timeoutMs: 200 }),
      {
        code: 'GUEST_BOOT_TIMEOUT',
        message:
          /no login prompt came within 200 ms on the serial console of r1: the guest hangs in the state "kernel" for 0 s, since \d\d:\d\d:\d\d UTC; last lines:\n.*MP-BIOS bug/,
        hint: /timers can make a kernel hang/,
      },
    )
    const before = beginBoot(Date.now() - 90_000)
    await assert.rejects(
      open(
        { login: () => {} },
        { timeoutMs: 200, earlier: { boot: { ...before, state: 'configuration loading' }, lines: ['Mounting it…'] } },
      ),
      {
        code: 'GUEST_BOOT_TIMEOUT',
        message:
          /in the state "configuration loading" for 90 s at least, since before .*; last lines:\n {2}Mounting it…$/,
        hint: /four minutes/,
      },
    )
    await assert.rejects(open({ greets: 'vyos login: ', login: () => {} }, { timeoutMs: 200 }), {
      code: 'GUEST_COMMAND_TIMEOUT',
    })
    await assert.rejects(
      open(
        { greets: 'Restarting system\r\n', login: (_text, guest) => guest.says('^U\r\n') },
        { silenceLimitMs: 1000 },
      ),
      { code: 'GUEST_BOOT_TIMEOUT', message: /sent nothing for 1 s/ },
    )
  })

  it('says so when the guest goes away, and when it is interrupted', async () => {
    await assert.rejects(open({ greets: 'vyos login: ', login: (_text, guest) => guest.ends() }), {
      code: 'GUEST_CONSOLE_LOST',
    })
    const controller = new AbortController()
    const opening = open(
      { greets: '[    0.000000] Linux version 6\r\n', login: () => {} },
      { signal: controller.signal },
    )
    setImmediate(() => controller.abort())
    await assert.rejects(opening, { code: 'INTERRUPTED' })
  })

  it('keeps the password out of the transcript, even where the guest shows it in two pieces', async () => {
    const lines: string[] = []
    const transcript = createTranscript({ write: (line) => lines.push(line), secrets: ['secret-of-r1'] })
    const real = gettyThatWants('secret-of-r1')
    const { session } = await open(
      {
        greets: 'vyos login: ',
        login: (text, guest) => {
          if (text === 'secret-of-r1\r') {
            guest.says('secret-')
            guest.says('of-r1\r\n')
          }
          real(text, guest)
        },
      },
      { transcript },
    )
    await session.close()
    const record = lines.join('')
    assert.doesNotMatch(record, /secret-|of-r1/)
    assert.match(record, /"kind":"send","data":"\*{8}"/)
    assert.match(record, /vyos login: /)
  })
})
