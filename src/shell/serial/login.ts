import type { Duplex } from 'node:stream'
import { VmrError } from '../../errors/vmr-error.ts'
import {
  afterLine,
  afterTail,
  type Boot,
  type BootState,
  beginBoot,
  describeBootState,
  hangHints,
} from './boot-state.ts'
import { attachConsole, type Console, formatSeconds, withRecord } from './console.ts'
import { classifyPrompt, type Prompt } from './prompts.ts'
import { awaitShellPrompt, interrupt, synchronise } from './synchronise.ts'
import type { Transcript } from './transcript.ts'

export interface Credentials {
  readonly user: string
  readonly password: string
}

/** Where the way from power-on to a usable session stands. */
export type ConsoleState = BootState | 'password' | 'shell' | 'configure' | 'pager'

export interface ConsoleStateReport {
  readonly state: ConsoleState
  /** What is known of the boot by then. */
  readonly boot: Boot
}

export interface OpenConsoleOptions {
  /** For messages: "serial console of r1". */
  readonly description: string
  readonly credentials: Credentials
  /**
   * For the whole way, boot included; default 120 000 ms. A VyOS under software emulation takes about four minutes to
   * its login prompt.
   */
  readonly timeoutMs?: number
  /** What the guest has said on its console before, its last lines for messages. */
  readonly earlier?: { readonly boot: Boot; readonly lines: readonly string[] }
  /** A boot that sends nothing for this long counts as hung. Default: only {@link timeoutMs} ends it. */
  readonly silenceLimitMs?: number
  readonly signal?: AbortSignal
  /** Called when the state changes. */
  readonly onState?: (report: ConsoleStateReport) => void
  readonly transcript?: Transcript
  /** File of the transcript: an error names it. */
  readonly record?: string
}

/** A logged-in terminal at an operational prompt, pager off and 500 columns wide. */
export interface ConsoleSession {
  readonly console: Console
  readonly user: string
  readonly hostName: string
  /** What the console has told of the boot, by the times of Date.now(). */
  readonly boot: Boot
  /** Logs out if this session logged in, and lets go of the stream without ending it. Never rejects. */
  close(): Promise<void>
}

/** Enter, with whatever somebody left typed in the line taken away first. */
const poke = '\x15\r'
const firstPokeMs = 1000
const pokeEveryMs = 3000
/** The kernel's messages may be a boot, in which Enter helps nobody, or fall onto a console that has long been up. */
const pokeKernelEveryMs = 5000
/** Something that takes this many Enters and shows no prompt is a program left running; at a prompt Ctrl-C does no harm. */
const pokesOfAProgram = 3
/** getty throws away what comes before it reads; the name is offered again when no password prompt follows it. */
const nameUnansweredMs = 3000
/** A wrong password is told twice before it is believed: the first may have lost characters. */
const maxRefusals = 2
const maxGarbledNames = 3
const stepTimeoutMs = 60_000

/**
 * Brings a guest's serial console, in whatever state it is, to an operational prompt.
 *
 * Configuration mode that somebody left open is left again when nothing is pending in it. Pending changes are never
 * discarded: they are somebody else's, since vmr configures in sessions of its own and never in this shell.
 *
 * @throws VmrError GUEST_BOOT_TIMEOUT when nothing ever asked for a login (the caller may start the guest again),
 *   GUEST_COMMAND_TIMEOUT when a login did not go on, GUEST_LOGIN_FAILED, GUEST_NOT_READY for pending changes of
 *   somebody else's, GUEST_CONSOLE_LOST, or what the signal was aborted with.
 */
export async function openConsoleSession(stream: Duplex, options: OpenConsoleOptions): Promise<ConsoleSession> {
  const { description, transcript, record, earlier } = options
  const console = attachConsole(stream, {
    description,
    ...(earlier === undefined ? {} : { earlierLines: earlier.lines }),
    ...(transcript === undefined ? {} : { transcript }),
    ...(record === undefined ? {} : { record }),
  })
  try {
    const login = await reachShell(console, options)
    await prepareTerminal(console, options.signal)
    return {
      console,
      user: login.user,
      hostName: login.host,
      boot: login.boot,
      close: () => closeSession(console, login.loggedIn),
    }
  } catch (error) {
    console.detach()
    throw withRecord(error, record)
  }
}

interface Login {
  readonly user: string
  readonly host: string
  readonly loggedIn: boolean
  readonly boot: Boot
}

type Step =
  | { readonly kind: 'prompt'; readonly prompt: Prompt }
  | { readonly kind: 'refused' }
  | { readonly kind: 'boot' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'idle' }

async function reachShell(console: Console, options: OpenConsoleOptions): Promise<Login> {
  const { credentials, description, onState, signal, silenceLimitMs } = options
  const timeoutMs = options.timeoutMs ?? 120_000
  const start = performance.now()
  let state: ConsoleState | undefined
  let asked = false
  let boot = bootSoFar(options.earlier?.boot)
  let nameSent = false
  let nameEchoed = false
  let passwordSent = false
  let garbledNames = 0
  let refusals = 0
  let silentMs = 0
  let unansweredPokes = 0

  const enter = (next: ConsoleState) => {
    if (next === state) return
    state = next
    onState?.({ state: next, boot })
  }
  const line = (text: string): Step | undefined => {
    // A terminal that nobody reads echoes what was typed to wake it: that is no sign of life.
    if (!/^(?:\^U)*\s*$/.test(text)) silentMs = 0
    if (nameSent && text.trimEnd().endsWith(`login: ${credentials.user}`)) nameEchoed = true
    if (/^Login incorrect$|Authentication failure|Login timed out/i.test(text.trim())) return { kind: 'refused' }
    const before = boot.state
    boot = afterLine(boot, text, Date.now())
    if (boot.state === before || boot.state === 'login') return undefined
    return { kind: asked ? 'restart' : 'boot' }
  }
  enter(boot.state)

  for (;;) {
    const remaining = timeoutMs - (performance.now() - start)
    const pokeMs = state === 'kernel' ? pokeKernelEveryMs : unansweredPokes === 0 && !asked ? firstPokeMs : pokeEveryMs
    const idleMs = nameSent ? nameUnansweredMs : pokeMs
    const step: Step = await console.expect<Step>(
      {
        line: ({ text }) => line(text),
        prompt: (tail) => {
          const prompt = classifyPrompt(tail)
          if (prompt === undefined) return undefined
          boot = afterTail(boot, tail, Date.now())
          return { kind: 'prompt', prompt }
        },
        idle: { afterMs: idleMs, react: () => ({ kind: 'idle' }) },
      },
      {
        what: asked ? 'the prompt after the login' : 'a login prompt',
        timeoutMs: Math.max(1, remaining),
        timeoutCode: asked ? 'GUEST_COMMAND_TIMEOUT' : 'GUEST_BOOT_TIMEOUT',
        ...(asked
          ? { hint: 'Look at the console yourself with `vmr vm console`.' }
          : {
              late: () => ({
                message: `no login prompt came within ${formatSeconds(timeoutMs)} on the ${description}: the guest hangs ${describeBootState(boot, Date.now())}`,
                hint: hangHints[boot.state],
              }),
            }),
        signal,
      },
    )

    if (step.kind === 'idle') {
      silentMs += idleMs
      if (!asked && silenceLimitMs !== undefined && silentMs >= silenceLimitMs) {
        throw new VmrError(
          'GUEST_BOOT_TIMEOUT',
          `the ${description} sent nothing for ${Math.round(silentMs / 1000)} s: the guest hangs ${describeBootState(boot, Date.now())}; last lines:\n${console
            .lastLines(10)
            .map((text) => `  ${text}`)
            .join('\n')}`,
          { hint: hangHints[boot.state] },
        )
      }
      nameSent = false
      unansweredPokes += 1
      const runsAProgram = unansweredPokes >= pokesOfAProgram && (state === 'waiting' || asked)
      await console.send(runsAProgram ? interrupt : poke)
      continue
    }
    unansweredPokes = 0
    silentMs = 0

    if (step.kind === 'boot' || step.kind === 'restart') {
      if (step.kind === 'restart') {
        asked = false
        nameSent = false
        passwordSent = false
      }
      enter(boot.state)
      continue
    }
    if (step.kind === 'refused') {
      if (passwordSent) refusals += 1
      nameSent = false
      passwordSent = false
      if (refusals >= maxRefusals) {
        throw new VmrError(
          'GUEST_LOGIN_FAILED',
          `the guest on the ${console.description} refused the password of user ${credentials.user}`,
          {
            hint: 'Give the user name and password of the image in the domain definition.',
          },
        )
      }
      continue
    }

    const { prompt } = step
    switch (prompt.kind) {
      case 'login':
        asked = true
        enter('login')
        nameSent = true
        nameEchoed = false
        passwordSent = false
        await console.send(`${credentials.user}\r`)
        break
      case 'password':
        asked = true
        enter('password')
        // Only ever behind a name of ours that the guest has shown in full; an empty one brings the login prompt back.
        if (nameSent && (nameEchoed || garbledNames >= maxGarbledNames)) {
          passwordSent = true
          nameSent = false
          await console.send(`${credentials.password}\r`, { secret: true })
        } else {
          if (nameSent) garbledNames += 1
          nameSent = false
          await console.send('\r')
        }
        break
      case 'newPassword':
        throw new VmrError(
          'GUEST_LOGIN_FAILED',
          `the guest on the ${console.description} wants the password of user ${credentials.user} changed`,
          {
            hint: 'Log in once with `vmr vm console`, set a new password, and put it in the domain definition.',
          },
        )
      case 'shell':
        enter('shell')
        return { user: prompt.user, host: prompt.host, loggedIn: passwordSent, boot }
      case 'configure':
        asked = true
        enter('configure')
        await leaveConfigurationMode(console, signal)
        break
      case 'pager':
        asked = true
        enter('pager')
        await console.send('q')
        break
      case 'completion':
        asked = true
        await console.send('n')
        await console.send(interrupt)
        break
      case 'continuation':
        asked = true
        await console.send(interrupt)
        break
    }
  }
}

/** A guest that was past its boot may stand at any prompt, or in any program: that is looked for anew. */
function bootSoFar(earlier: Boot | undefined): Boot {
  const start = beginBoot(Date.now())
  if (earlier === undefined) return start
  return earlier.state === 'login'
    ? { ...earlier, state: 'waiting', since: start.since }
    : { ...earlier, orEarlier: true }
}

async function leaveConfigurationMode(console: Console, signal: AbortSignal | undefined): Promise<void> {
  await console.send('exit\r')
  await console.expect<true>(
    {
      line: ({ text }) => {
        if (text.startsWith('Cannot exit: configuration modified')) {
          throw new VmrError(
            'GUEST_NOT_READY',
            `somebody left configuration mode open on the ${console.description}, with changes that are not committed`,
            {
              hint: 'vmr does not decide about them: commit or discard them with `vmr vm console`, then try again.',
            },
          )
        }
        // At a lower edit level, `exit` only goes to the top.
        return /^\[edit.*\]$/.test(text) || text === 'exit' ? true : undefined
      },
      prompt: (tail) => (classifyPrompt(tail) === undefined ? undefined : true),
    },
    { what: 'the end of configuration mode', timeoutMs: stepTimeoutMs, signal },
  )
}

async function prepareTerminal(console: Console, signal: AbortSignal | undefined): Promise<void> {
  // Without these VyOS decorates short errors with escape sequences and stops long ones in a pager, and readline
  // breaks the echo of long lines. In any other bash they only set positional parameters.
  for (const command of ['set terminal length 0', 'set terminal width 500']) {
    await console.send(`${command}\r`)
    await awaitShellPrompt(console, { what: `the prompt after "${command}"`, timeoutMs: stepTimeoutMs, signal })
  }
  await synchronise(console, { timeoutMs: stepTimeoutMs, signal })
}

async function closeSession(console: Console, loggedIn: boolean): Promise<void> {
  try {
    if (loggedIn && console.lost() === undefined) {
      await console.send('exit\r')
      await console.expect<true>(
        {
          line: ({ text }) => (text === 'logout' ? true : undefined),
          prompt: (tail) => (classifyPrompt(tail)?.kind === 'login' ? true : undefined),
        },
        { what: 'the end of the login', timeoutMs: 5000 },
      )
    }
  } catch {
    // The guest may be going down, and logging out of it is only courtesy.
  } finally {
    console.detach()
  }
}
