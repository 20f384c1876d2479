/* A picture's own filter, docs/FORMAT.md section 8.2: the same samples as correction.py.
 *
 * Sums are of integers below 2^24, so floats hold them exactly in any order; what follows is in
 * integers. Row by row: five rows of planes are kept, so everything stays in the cache.
 */

#include "kernel.h"

#define REACH 2
#define ROWS (2 * REACH + 1)
#define PAIRS 12
#define PLANES 3

static const int OFFSETS[PAIRS][2] = { /* dy, dx */
    {0, 1}, {1, 0}, {1, 1}, {1, -1}, {0, 2}, {2, 0}, {1, 2}, {2, 1}, {1, -2}, {2, -1}, {2, 2}, {2, -2},
};

/* Planes of a row of samples, four times what they are. */
static void to_planes(const uint8_t *samples, int64_t count, int channels,
                      float *const planes[PLANES])
{
    if (channels == 1) {
        for (int64_t x = 0; x < count; x++)
            planes[0][x] = 4.0f * samples[x];
        return;
    }
    for (int64_t x = 0; x < count; x++) {
        const int red = samples[3 * x], green = samples[3 * x + 1], blue = samples[3 * x + 2];
        planes[0][x] = (float)(red + blue + 2 * green);
        planes[1][x] = (float)(2 * (red - blue));
        planes[2][x] = (float)(2 * green - red - blue);
    }
}

static void add(float *restrict sums, const float *restrict values, float weight, int64_t count)
{
    for (int64_t x = 0; x < count; x++)
        sums[x] += weight * values[x];
}

static uint8_t changed(int sample, int32_t sum)
{
    const int found = sample + ((sum + 128) >> 8); /* rounds down, as all compilers' shifts do */
    return (uint8_t)(found < 0 ? 0 : found > 255 ? 255 : found);
}

static void write_row(const uint8_t *samples, int64_t width, int channels,
                      float *const sums[PLANES], uint8_t *out)
{
    if (channels == 1) {
        for (int64_t x = 0; x < width; x++)
            out[x] = changed(samples[x], (int32_t)sums[0][x]);
        return;
    }
    for (int64_t x = 0; x < width; x++) {
        const int32_t y = (int32_t)sums[0][x], orange = (int32_t)sums[1][x];
        const int32_t green = (int32_t)sums[2][x];
        out[3 * x] = changed(samples[3 * x], y - green + orange);
        out[3 * x + 1] = changed(samples[3 * x + 1], y + green);
        out[3 * x + 2] = changed(samples[3 * x + 2], y - green - orange);
    }
}

/* Correct the inside of `around` [height + 4][width + 4][channels] into `out` [height][width]
 * [channels], by `weights` [channels][12 channels + channels - 1]; `scratch` has as many floats as
 * edgeae_correct_scratch says. */
EXPORT void edgeae_correct(const uint8_t *around, int64_t height, int64_t width, int32_t channels,
                           const int8_t *weights, float *scratch, uint8_t *out)
{
    const int64_t wide = width + 2 * REACH;
    const int features = PAIRS * channels + channels - 1;
    float *planes[ROWS][PLANES], *sums[PLANES], *pair;
    for (int n = 0; n < channels; n++) {
        for (int row = 0; row < ROWS; row++)
            planes[row][n] = scratch + (row * channels + n) * wide;
        sums[n] = scratch + (ROWS * channels + n) * wide;
    }
    pair = scratch + (ROWS + 1) * channels * wide;
    for (int row = 0; row < 2 * REACH; row++)
        to_planes(around + row * wide * channels, wide, channels, planes[row]);
    for (int64_t row = 0; row < height; row++) {
        const int64_t last = row + 2 * REACH;
        const int middle = (int)((row + REACH) % ROWS);
        to_planes(around + last * wide * channels, wide, channels, planes[last % ROWS]);
        for (int c = 0; c < channels; c++)
            for (int64_t x = 0; x < width; x++)
                sums[c][x] = 0.0f;
        for (int c = 0; c < channels; c++)
            for (int n = 1; n < channels; n++)
                if (weights[c * features + n - 1])
                    add(sums[c], planes[middle][n] + REACH, weights[c * features + n - 1], width);
        for (int number = 0; number < PAIRS; number++) {
            const int dy = OFFSETS[number][0], dx = OFFSETS[number][1];
            const int below = (int)((row + REACH + dy) % ROWS);
            const int above = (int)((row + REACH - dy) % ROWS);
            for (int n = 0; n < channels; n++) {
                const int8_t *own = weights + channels - 1 + number * channels + n;
                int used = 0;
                for (int c = 0; c < channels; c++)
                    used |= own[c * features];
                if (!used)
                    continue;
                const float *one = planes[below][n] + REACH + dx;
                const float *other = planes[above][n] + REACH - dx;
                const float *centre = planes[middle][n] + REACH;
                for (int64_t x = 0; x < width; x++)
                    pair[x] = one[x] + other[x] - 2.0f * centre[x];
                for (int c = 0; c < channels; c++)
                    if (own[c * features])
                        add(sums[c], pair, own[c * features], width);
            }
        }
        write_row(around + ((row + REACH) * wide + REACH) * channels, width, channels, sums,
                  out + row * width * channels);
    }
}

/* Floats that edgeae_correct needs for a row. */
EXPORT int64_t edgeae_correct_scratch(int64_t width, int32_t channels)
{
    return ((ROWS + 1) * (int64_t)channels + 1) * (width + 2 * REACH);
}
