// What strace, perf and callgrind write, as they have written it.
import { expect, test } from 'vitest';
import { callgrindCount, findCounters, perfCount, systemCalls } from '../../build/bench/counters.ts';
import { testContext } from '../lambda/support/function.ts';

test('system calls of a start and of each invocation', () => {
  const next = (pid: number) =>
    `${pid} sendmsg(3, {msg_iov=[{iov_base="GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n"...}]}, MSG_NOSIGNAL) = 120`;
  const log = [
    '7  execve("/opt/bootstrap", ["/opt/bootstrap"], 0x7ffe /* 10 vars */) = 0',
    '7  brk(NULL) = 0x1',
    '8  futex(0x1, FUTEX_WAIT_PRIVATE, 0, NULL <unfinished ...>',
    '7  sched_yield() = 0',
    '8  <... futex resumed>) = 0',
    '7  --- SIGCHLD {si_signo=SIGCHLD} ---',
    next(7),
    '7  recvfrom(3, "HTTP/1.1 200 OK"..., 65536, 0, NULL, NULL) = 400',
    next(7),
    '7  recvfrom(3, "HTTP/1.1 200 OK"..., 65536, 0, NULL, NULL) = 400',
    '7  sendmsg(3, {}, MSG_NOSIGNAL) = 300',
    next(7),
  ].join('\n');
  expect(systemCalls(log)).toEqual({ start: 3, each: [2, 3] });
  expect(systemCalls('7  brk(NULL) = 0x1').start).toBeNaN();
});

test('instructions of perf and callgrind', () => {
  expect(perfCount('# started on Sat\n\n31375597,,instructions:u,1424920,100.00,,\n')).toBe(31375597);
  expect(perfCount('<not supported>,,instructions:u,0,100.00,,')).toBeNaN();
  expect(perfCount('perf: not found')).toBeNaN();
  expect(callgrindCount('==7== Events    : Ir\n==7== Collected : 31375597\n')).toBe(31375597);
  expect(() => callgrindCount('==7== Fatal error')).toThrow(/Fatal error/);
});

test('each program that is absent is one line', async () => {
  const { calls, instructions, absent } = await findCounters(testContext('/nowhere'));
  expect(absent).toHaveLength((calls === undefined ? 1 : 0) + (instructions === undefined ? 1 : 0));
  for (const line of absent) expect(line).toMatch(/^[A-Z].*\.$/);
});
