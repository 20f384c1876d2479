/* The rANS state machine, one symbol at a time: the same numbers as scalar.py and rows.py.
 *
 * Sizes are checked by the caller: rows and positions are within the tables, and lanes is a power
 * of two.
 */

#include "kernel.h"

#define RADIX 65536u

/* Take symbols, last one first; words go to the end of `words`. Returns where they begin. */
EXPORT int64_t edgeae_rans_push(uint32_t *states, uint32_t lanes, const int32_t *positions,
                                int64_t count, const uint32_t *entries, uint32_t precision,
                                uint16_t *words, int64_t first)
{
    const uint32_t lane_mask = lanes - 1, limit_shift = 32 - precision;
    for (int64_t j = count - 1; j >= 0; j--) {
        const uint32_t entry = entries[positions[j]];
        const uint32_t frequency = entry >> 16, cumulative = entry & 0xFFFF;
        uint32_t x = states[j & lane_mask];
        if (x >> limit_shift >= frequency) {
            words[--first] = (uint16_t)x;
            x >>= 16;
        }
        const uint32_t quotient = x / frequency;
        states[j & lane_mask] = (quotient << precision) + (x - quotient * frequency) + cumulative;
    }
    return first;
}

/* Give symbols back, first one first. Returns how many words were read, -1 if they do not do. */
EXPORT int64_t edgeae_rans_pull(uint32_t *states, uint32_t lanes, const uint16_t *rows,
                                int64_t count, const uint8_t *slots, const uint32_t *starts,
                                const uint32_t *entries, uint32_t precision,
                                const uint16_t *words, int64_t words_size, int64_t words_read,
                                uint8_t *symbols)
{
    const uint32_t lane_mask = lanes - 1, slot_mask = (1u << precision) - 1;
    for (int64_t j = 0; j < count; j++) {
        uint32_t x = states[j & lane_mask];
        const uint32_t row = rows[j], slot = x & slot_mask;
        const uint8_t symbol = slots[((size_t)row << precision) | slot];
        const uint32_t entry = entries[starts[row] + symbol];
        x = (entry >> 16) * (x >> precision) + slot - (entry & 0xFFFF);
        if (x < RADIX) {
            if (words_read >= words_size)
                return -1;
            x = x << 16 | words[words_read++];
        }
        states[j & lane_mask] = x;
        symbols[j] = symbol;
    }
    return words_read;
}
