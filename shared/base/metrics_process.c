/* Process metrics, read from /proc at each exposition. */
#include "shared/base/metrics_process.h"

#include "shared/base/clock.h"
#include "shared/base/metrics.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *cpu_seconds, *resident_memory, *open_fds, *max_fds, *start_time;
static double cpu_seconds_told; /* guarded by lock: what the counter already shows */

static double cpu_seconds_used(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double resident_bytes(void)
{
    char line[256] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    const char *resident = fgets(line, sizeof line, file) ? strchr(line, ' ') : NULL;
    fclose(file);
    return resident ? (double)strtol(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double count_open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    int count = -3; /* not ".", not "..", not the directory itself */
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void collect(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    double used = cpu_seconds_used();
    metric_add(cpu_seconds, NULL, used - cpu_seconds_told);
    cpu_seconds_told = used;
    pthread_mutex_unlock(&lock);

    metric_set(resident_memory, NULL, resident_bytes());
    metric_set(open_fds, NULL, count_open_fds());
}

void metrics_process(const char *program)
{
    static const char *const BUILD_LABELS[] = {"program", "version", NULL};

    pthread_mutex_lock(&lock);
    if (cpu_seconds) {
        pthread_mutex_unlock(&lock);
        return;
    }
    struct metric *build_info =
        metric_gauge("build_info", "The program and its version", BUILD_LABELS);
    metric_set(build_info, (const char *[]){program, VERSION}, 1);
    cpu_seconds = metric_counter("process_cpu_seconds", "User and system CPU time used", NULL);
    resident_memory = metric_gauge("process_resident_memory_bytes", "Resident memory", NULL);
    open_fds = metric_gauge("process_open_fds", "Open file descriptors", NULL);
    max_fds = metric_gauge("process_max_fds", "Limit of open file descriptors", NULL);
    start_time =
        metric_gauge("process_start_time_seconds", "Start of the process in Unix time", NULL);

    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metric_set(max_fds, NULL, (double)limit.rlim_cur);
    metric_set(start_time, NULL, (double)clock_unix_us() / 1e6);
    metrics_on_collect(collect, NULL);
    pthread_mutex_unlock(&lock);
}
