/* SPDX-License-Identifier: Apache-2.0 */
/* Make a text to count: lines of 4 to 16 words, separated by one blank, from 50,000 words of 2 to
 * 10 letters (and some longer ones), the k-th about k times as rare as the first, as in real texts.
 *
 *     text FILE MEBIBYTES     (a multiple of 16)
 *
 * A block of 16 MiB is made once and written repeatedly, with fsync() at the end, so that no
 * write-back disturbs the next measurement. The text is the same on every machine. */
#include "bench.h"

#include <fcntl.h>
#include <math.h>

enum { WORDS = 50000, LONGEST = 24, BLOCK = 16 << 20 };

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13; /* xorshift64 */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct word {
    char letters[LONGEST];
    size_t len;
} words[WORDS];
static double upto[WORDS]; /* sum of the weights up to a word */

static void make_words(void)
{
    double sum = 0;
    for (int w = 0; w < WORDS; w++) {
        struct word *word = &words[w];
        word->len = 2 + random_number() % 9;
        if (w % 100 == 99)
            word->len += 12; /* longer than 16 bytes, where fast counting takes another path */
        for (size_t i = 0; i < word->len; i++)
            word->letters[i] = (char)('a' + random_number() % 26);
        sum += 1.0 / (w + 1);
        upto[w] = sum;
    }
}

static const struct word *random_word(void)
{
    double at = (double)(random_number() >> 11) / 9007199254740992.0 * upto[WORDS - 1];
    int low = 0, high = WORDS - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (upto[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return &words[low];
}

static char *make_block(void)
{
    char *block = malloc(BLOCK);
    if (!block)
        bench_die("no memory");
    size_t used = 0;
    while (used < BLOCK - 16 * LONGEST) {
        int count = 4 + (int)(random_number() % 13);
        for (int i = 0; i < count; i++) {
            const struct word *word = random_word();
            memcpy(block + used, word->letters, word->len);
            used += word->len;
            block[used++] = i == count - 1 ? '\n' : ' ';
        }
    }
    memset(block + used, 'z', BLOCK - used - 1); /* one long word fills the block */
    block[BLOCK - 1] = '\n';
    return block;
}

int main(int argc, char **argv)
{
    long mebibytes = bench_argument(argc, argv, 2, 0);
    if (mebibytes < 16 || mebibytes % 16 != 0)
        bench_die("usage: text FILE MEBIBYTES, a multiple of 16");
    make_words();
    char *block = make_block();
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    for (long i = 0; i < mebibytes / 16; i++)
        for (size_t done = 0; done < BLOCK;) {
            ssize_t n = write(fd, block + done, BLOCK - done);
            if (n < 0) {
                perror("bench: cannot write the text");
                unlink(argv[1]);
                return 1;
            }
            done += (size_t)n;
        }
    if (fd < 0 || fsync(fd) != 0 || close(fd) != 0) {
        perror("bench: cannot write the text");
        return 1;
    }
    free(block);
    return 0;
}
