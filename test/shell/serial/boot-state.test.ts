import assert from 'node:assert/strict'
import {
  afterLine,
  afterTail,
  type Boot,
  type BootState,
  beginBoot,
  bootStates,
  describeBootState,
} from '../../../src/shell/serial/boot-state.ts'
import { createTerminalText } from '../../../src/shell/serial/terminal-text.ts'
import { replayBoot } from '../../../src/vm/boot-outcome.ts'
import { processorTime } from '../../processor-time.ts'
import { fuzzRuns, mutated, mutatedTranscript, randomFrom } from './mutations.ts'
import { receivedBytes } from './recording.ts'

/** The states of a guest that says these lines, one a second from 1 s on. */
function statesOf(...lines: readonly string[]): readonly string[] {
  let boot = beginBoot(0)
  return lines.map((line, index) => {
    boot = afterLine(boot, line, (index + 1) * 1000)
    return boot.state
  })
}

const replay = (text: string): Boot => replayBoot(Buffer.from(text, 'latin1'), 5000).boot

const loader = 'SeaBIOS (version 1.16.2-debian-1.16.2-1)\r\n\r\nBooting from Hard Disk...\r\nGNU GRUB  version 2.06\r\n'
const kernel = '[    0.000000] Linux version 6.1.0-56-cloud-amd64\r\n[    1.123456] virtio_net virtio1 eth0\r\n'
/** With what the journal puts before it on the console, and as a service alone writes it. */
const vyos = {
  journal: (words: string) => `[   31.400000] vyos-router[812]: ${words}\r\n`,
  bare: (words: string) => `${words}\r\n`,
}
const login = '\r\nWelcome to VyOS - vyos ttyS0\r\n\r\nvyos login: '

describe('the states of a boot', () => {
  for (const [line, state] of [
    ['SeaBIOS (version 1.16.2-debian-1.16.2-1)', 'loader'],
    ['Automatic boot in 5 seconds...', 'loader'],
    ['BdsDxe: loading Boot0001 "UEFI QEMU HARDDISK"', 'loader'],
    ['[    0.000000] Linux version 6.1.0-56-cloud-amd64', 'kernel'],
    ['[    1.123456] virtio_net virtio1 eth0', 'kernel'],
    ['Waiting for NICs to settle down: settled in 0sec..', 'configuration loading'],
    ['[   28.1] vyos-router[812]: Mounting VyOS Config...done.', 'configuration loading'],
    ['[  OK  ] Started vyos-router.service - VyOS Router.', 'configuration loading'],
    ['         Stopping vyos-router.service - VyOS Router...', 'waiting'],
    ['Starting VyOS router: migrate configure.', 'configuration loading'],
    ['Starting VyOS router: migrate configure failed!', 'configuration failed'],
    [' configure failed!', 'configuration failed'],
    ['[   40.000000] vyos-config[900]: Configuration error', 'configuration failed'],
    ['vyos login: vyos', 'login'],
    ['vyos@vyos:~$ show version', 'login'],
    ['Welcome to VyOS - vyos ttyS0', 'waiting'],
  ] as const)
    it(`knows the state "${state}" by "${line}"`, () => assert.deepEqual(statesOf(line), [state]))

  it('goes forward through them, whatever the kernel says in between, and stays at the login', () => {
    assert.deepEqual(
      statesOf(
        'SeaBIOS (version 1.16.2)',
        '[    0.000000] Linux version 6.1.0',
        'Mounting VyOS Config...done.',
        '[   30.123456] eth0: link becomes ready',
        'Starting VyOS router: migrate configure failed!',
        '[   33.123456] random: crng init done',
        'vyos login: vyos',
        '[   44.123456] eth0: link up',
        'Starting VyOS router: migrate configure.',
      ),
      [
        'loader',
        'kernel',
        ...Array(2).fill('configuration loading'),
        ...Array(2).fill('configuration failed'),
        ...Array(3).fill('login'),
      ],
    )
  })

  it('takes an outcome that the journal tells behind the prompt, and no words of a shell', () => {
    const late = replay(
      `${login}vyos\r\nvyos@vyos:~$ ls\r\n${vyos.journal('Starting VyOS router: migrate configure failed!')}`,
    )
    assert.deepEqual(
      [late.state, late.configuration, late.words],
      ['login', 'failed', ['Starting VyOS router: migrate configure failed!']],
    )
  })

  it('begins anew when the machine starts again, from any state, and forgets what was', () => {
    for (const first of [
      kernel,
      vyos.bare('Starting VyOS router: migrate configure failed!'),
      login,
      `${login}vyos\r\n`,
    ])
      for (const [again, state] of [
        ['SeaBIOS (version 1.16.2)\r\n', 'loader'],
        ['[    0.000000] Linux version 6.1.0\r\n', 'kernel'],
        // A guest that shows nothing of its kernel.
        ...(first.includes('login')
          ? [['[  OK  ] Started vyos-router.service\r\n', 'configuration loading'] as const]
          : []),
      ] as const) {
        const boot = replay(first + again)
        assert.deepEqual([boot.state, boot.configuration, boot.words], [state, undefined, []])
      }
  })

  for (const [how, says] of Object.entries(vyos)) {
    it(`tells what VyOS itself said about a configuration that it could not load (${how})`, () => {
      const boot = replay(
        loader +
          kernel +
          says('Mounting VyOS Config...done.') +
          '[  OK  ] Reached target multi-user.target.\r\n[   31.123456] eth0: link up\r\n[   31.500000] sshd[77]: not about it\r\n' +
          says('[[interfaces tunnel tun1]] failed') +
          says('Commit failed') +
          says('Starting VyOS router: migrate configure failed!') +
          login,
      )
      assert.deepEqual([boot.state, boot.configuration], ['login', 'failed'])
      assert.deepEqual(boot.words, [
        '[[interfaces tunnel tun1]] failed',
        'Commit failed',
        'Starting VyOS router: migrate configure failed!',
      ])
    })
    it(`knows that it was loaded (${how})`, () => {
      const boot = replay(loader + kernel + says('Starting VyOS router: migrate configure.') + login)
      assert.deepEqual([boot.state, boot.configuration, boot.words], ['login', 'loaded', []])
    })
  }

  it('believes the warning at `configure` too', () => {
    const boot = replay(
      `${login}vyos\r\nvyos@vyos:~$ configure\r\nWARNING: There was a config error on boot: saving the configuration now could overwrite data.\r\n[edit]\r\r\nvyos@vyos# `,
    )
    assert.deepEqual([boot.state, boot.configuration], ['login', 'failed'])
    assert.match(boot.words.join(), /could overwrite data/)
  })

  it('puts the whole recording of a VyOS at its prompt behind the boot, whose outcome it does not tell', () => {
    const boot = replay(receivedBytes.toString('latin1'))
    assert.deepEqual([boot.state, boot.configuration, boot.words], ['login', undefined, []])
  })

  it('replays a boot into the recording of a VyOS, and keeps what the boot told', () => {
    const boot = replay(
      loader + kernel + vyos.journal('Starting VyOS router: migrate configure.') + receivedBytes.toString('latin1'),
    )
    assert.deepEqual([boot.state, boot.configuration], ['login', 'loaded'])
  })

  it('says since when, as a person reads it', () => {
    const at = Date.parse('2026-11-26T08:01:02Z')
    const boot = afterLine(beginBoot(at - 9000), kernel, at)
    assert.equal(describeBootState(boot, at + 42_600), 'in the state "kernel" for 43 s, since 08:01:02 UTC')
    assert.equal(
      describeBootState({ ...boot, orEarlier: true }, at),
      'in the state "kernel" for 0 s at least, since before 08:01:02 UTC',
    )
  })
})

describe('a boot that says anything', function () {
  this.timeout(3_600_000)
  const told = [
    loader,
    kernel,
    vyos.journal('Commit failed'),
    vyos.bare('Starting VyOS router: migrate configure failed!'),
    login,
  ]

  it('is always in one known state, never before its time, with a bounded number of words', () => {
    const seen = new Set<BootState>()
    for (let seed = 0; seed < fuzzRuns(20_000); seed += 1) {
      const random = randomFrom(seed)
      const pieces = Array.from({ length: 1 + random.below(8) }, () =>
        random.below(3) === 0 ? mutatedTranscript(random, 300) : Buffer.from(random.oneOf(['', ...told])),
      )
      let bytes: Buffer = Buffer.concat(pieces)
      for (let change = random.below(4); change > 0; change -= 1) bytes = mutated(random, bytes)
      const lines = createTerminalText().write(bytes).split('\n')
      let boot = beginBoot(0)
      for (const [index, line] of lines.entries()) {
        const before = boot
        boot = index === lines.length - 1 ? afterTail(boot, line, index) : afterLine(boot, line, index)
        assert.ok(bootStates.includes(boot.state), `seed ${seed}`)
        assert.ok(boot.since <= index && (boot.state === before.state || boot.since === index), `seed ${seed}`)
        assert.ok(boot.words.length <= 20 && boot.words.every((words) => words.length <= 400), `seed ${seed}`)
        if (boot.state === 'configuration failed') assert.equal(boot.configuration, 'failed', `seed ${seed}`)
        seen.add(boot.state)
      }
    }
    assert.deepEqual([...seen].toSorted(), [...bootStates].toSorted())
  })

  for (const [what, piece] of Object.entries({
    'a line without an end': 'Starting VyOS router: ',
    'half prompts': 'vyos@vyos:~$',
    'half prompts of a VRF': 'a@b(a(a(a(',
    'half login prompts': 'vyos login:',
    'half kernel messages': '[  12.3',
    'names of services': 'vyos-router[1',
    'lines of a boot': told.join(''),
    'lines of failures': told[3] ?? '',
    'lines of nothing': '\n',
  }))
    it(`is read in time that grows with its length: ${what}`, () => {
      const timeOf = (length: number) => {
        const bytes = Buffer.from(piece.repeat(Math.ceil(length / piece.length)))
        const start = processorTime()
        replayBoot(bytes, 0)
        return processorTime() - start
      }
      timeOf(100_000)
      const once = Math.min(timeOf(100_000), timeOf(100_000))
      const eightfold = Math.min(timeOf(800_000), timeOf(800_000))
      // Quadratic time would be 64 times as long.
      assert.ok(eightfold < 24 * Math.max(once, 8), `${once} ms, and ${eightfold} ms for eight times as much`)
    })
})
