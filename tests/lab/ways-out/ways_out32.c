/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The 32-bit ways out: ways-out32 NAME, started by ways-out, with a datagram socket to the client as descriptor 100.
 * It sends "NAME N\n" ten times a second. NAME says how it enters the kernel:
 *
 *   int80-32      int 0x80
 *   sysenter-32   the instruction itself; not every processor has it in this mode (then SIGILL ends the program)
 *   vsyscall-32   the way that the kernel recommends for this processor (AT_SYSINFO): sysenter, syscall, or int 0x80
 *
 * No C library: none for 32 bits is needed to build it (gcc -m32 -nostdlib).
 */
#define NR_EXIT 1
#define NR_WRITE 4
#define NR_SOCKETCALL 102
#define NR_NANOSLEEP 162
#define CALL_SEND 9
#define AT_SYSINFO 32
#define SOCKET 100
#define TICKS 150

static unsigned long vsyscall;

static long enter_int80(long nr, long a, long b, long c)
{
    long result;
    asm volatile("int $0x80" : "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

/* The kernel returns to its own page, which pops three registers and returns: so this is called. */
static long enter_sysenter(long nr, long a, long b, long c)
{
    long result;
    asm volatile("call 1f\n\t"
                 "jmp 2f\n"
                 "1: push %%ecx\n\t"
                 "push %%edx\n\t"
                 "push %%ebp\n\t"
                 "mov %%esp, %%ebp\n\t"
                 "sysenter\n"
                 "2:"
                 : "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

static long enter_vsyscall(long nr, long a, long b, long c)
{
    long result;
    asm volatile("call *%[way]" : "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c), [way] "m"(vsyscall) : "memory");
    return result;
}

static unsigned long length(const char *text)
{
    unsigned long n = 0;
    while (text[n])
        n++;
    return n;
}

static void say(const char *name, const char *what)
{
    enter_int80(NR_WRITE, 1, (long)"WAY ", 4);
    enter_int80(NR_WRITE, 1, (long)name, (long)length(name));
    enter_int80(NR_WRITE, 1, (long)what, (long)length(what));
}

__attribute__((used)) void run(unsigned long *stack)
{
    unsigned long argc = stack[0];
    const char *name = argc > 1 ? (const char *)stack[2] : "int80-32";
    unsigned long *words = stack + 1 + argc + 1;
    struct { long seconds, nanoseconds; } tick = { 0, 100000000 };
    long (*enter)(long, long, long, long) = enter_int80;
    int n;

    while (*words)
        words++; /* the environment */
    for (words++; words[0]; words += 2)
        if (words[0] == AT_SYSINFO)
            vsyscall = words[1];
    if (name[0] == 's')
        enter = enter_sysenter;
    if (name[0] == 'v')
        enter = enter_vsyscall;
    if (name[0] == 'v' && !vsyscall) {
        say(name, " impossible: no AT_SYSINFO\n");
        enter_int80(NR_EXIT, 1, 0, 0);
    }

    for (n = 0; n < TICKS; n++) {
        char text[64];
        unsigned long size = 0;
        long arguments[4] = { SOCKET, (long)text, 0, 0 };

        for (; name[size] && size < 32; size++)
            text[size] = name[size];
        text[size++] = ' ';
        if (n >= 100)
            text[size++] = (char)('0' + n / 100);
        if (n >= 10)
            text[size++] = (char)('0' + n / 10 % 10);
        text[size++] = (char)('0' + n % 10);
        text[size++] = '\n';
        arguments[2] = (long)size;
        if (enter(NR_SOCKETCALL, CALL_SEND, (long)arguments, 0) < 0 && n == 0)
            say(name, " at first: an error\n");
        enter_int80(NR_NANOSLEEP, (long)&tick, 0, 0);
    }
    say(name, " done\n");
    enter_int80(NR_EXIT, 0, 0, 0);
}

asm(".globl _start\n"
    "_start: mov %esp, %eax\n\t"
    "and $-16, %esp\n\t"
    "sub $12, %esp\n\t"
    "push %eax\n\t"
    "call run\n\t"
    "hlt\n");
