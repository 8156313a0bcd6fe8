/* The floor of all start-up times: a static program that does nothing. */
int main(void)
{
	return 0;
}
